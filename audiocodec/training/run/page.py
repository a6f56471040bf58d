"""Style and frame of the report page; it holds all it needs, and is light or dark as the reader's system."""

STYLE = """
:root{--back:#fbfbfa;--card:#fff;--text:#20242a;--soft:#68707c;--line:#e3e5e8;--cell:#2f6fb3;
--c0:#2f6fb3;--c1:#c8602c;--c2:#3a8f5d;--c3:#8656a8;--c4:#b0892a;--c5:#c2476e}
@media(prefers-color-scheme:dark){:root{--back:#15171a;--card:#1d2024;--text:#e4e6ea;--soft:#98a0ab;
--line:#30353b;--cell:#6fb0f2;--c0:#6fb0f2;--c1:#f09862;--c2:#6fc794;--c3:#c096e0;--c4:#dcb95c;--c5:#f083a5}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1180px;padding:24px 20px 60px;background:var(--back);color:var(--text);
font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:22px;margin:0}h2{font-size:16px;margin:34px 0 10px}
h3{font-size:13px;margin:0 0 6px;font-weight:600}
p{margin:4px 0}.soft,.legend,.tick{color:var(--soft)}
.grid2{display:grid;gap:12px;grid-template-columns:repeat(auto-fill,minmax(330px,1fr))}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px;min-width:0}
.tiles{display:grid;gap:12px;margin-top:16px;grid-template-columns:repeat(auto-fill,minmax(150px,1fr))}
.tile b{display:block;font-size:20px;font-weight:600;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:12px}
.bar{height:6px;border-radius:3px;background:var(--line);margin-top:12px}
.bar i{display:block;height:6px;border-radius:3px;background:var(--c0)}
svg{display:block;width:100%;height:auto}
svg.spark{width:90px;height:24px}
.grid{stroke:var(--line);stroke-width:1}.tick{font-size:10px;fill:var(--soft)}
.end{text-anchor:end}.middle{text-anchor:middle}
.line{fill:none;stroke-width:1.7;stroke-linejoin:round}
.line0{stroke:var(--c0)}.line1{stroke:var(--c1)}.line2{stroke:var(--c2)}
.line3{stroke:var(--c3)}.line4{stroke:var(--c4)}.line5{stroke:var(--c5)}
.fill0,.key0{fill:var(--c0);background:var(--c0)}.fill1,.key1{fill:var(--c1);background:var(--c1)}
.fill2,.key2{fill:var(--c2);background:var(--c2)}.fill3,.key3{fill:var(--c3);background:var(--c3)}
.fill4,.key4{fill:var(--c4);background:var(--c4)}.fill5,.key5{fill:var(--c5);background:var(--c5)}
.hover{fill:transparent}.hover:hover{fill:var(--soft);opacity:.15}
.cell{fill:var(--cell)}.cell:hover{stroke:var(--text)}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:12px;margin:0 0 6px}
.legend i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
td svg.spark{margin-left:auto}
th,td{padding:5px 10px 5px 0;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th{color:var(--soft);font-weight:500;font-size:12px}
th:first-child,td:first-child{text-align:left}
td.left{text-align:left;white-space:normal;overflow-wrap:anywhere}
pre{overflow-x:auto;font-size:12px;line-height:1.45;margin:8px 0 0}
summary{cursor:pointer;color:var(--soft)}
"""


def page(title: str, body: str) -> str:
    """A whole HTML document; `title` must be escaped."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>{body}</body></html>\n"
    )
