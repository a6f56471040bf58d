from markupsafe import Markup

from audiocodec.report.page import render


def test_what_is_filled_in_is_escaped_once():
    page = render("page.html", title="a < b", body=Markup("<p>{}</p>").format("<b>&"))
    assert "<title>a &lt; b</title>" in page
    assert "<p>&lt;b&gt;&amp;</p>" in page
    assert page.endswith("</html>\n")
