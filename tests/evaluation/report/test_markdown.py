from audiocodec.evaluation.report.markdown import render, write_markdown
from audiocodec.evaluation.results import plain
from audiocodec.evaluation.summary import summarise


def test_a_table_for_a_readme(made_rows, tmp_path):
    def name(row):
        row["codec"] = row["codec"].replace("late", "la|te")

    summary = plain(summarise(made_rows(name), resamples=50))
    meta = {
        "command": ["audiocodec", "evaluate", "--data", "a b"],
        "data": "a b",
        "created": "2026-11-21T10:00",
    }
    text = render(summary, meta)
    lines = text.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 * (2 + 8)
    assert {line.replace("\\|", "").count("|") for line in table} == {5}
    assert table[0] == "| codec | kbit/s | PESQ-WB | failed |"
    assert table[2].startswith("| model | 2.0 | 1.65 (")
    assert table[2].endswith(") | 0 of 16 |")
    assert any(line.startswith("| la\\|te | 16.0 |") for line in table)
    assert "audiocodec evaluate --data 'a b'" in lines
    assert "bootstrap over 8 speakers" in text
    assert "Data: a b, 2026-11-21." in lines
    write_markdown(summary, meta, tmp_path / "report.md")
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == text
