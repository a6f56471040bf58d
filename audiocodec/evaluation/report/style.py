"""Style and frame of the page: nothing from elsewhere, light or dark as the reader's system, fit to print."""

LIGHT = ("#0b63b5", "#c2410c", "#0f7a55", "#8b35ab", "#8a6100", "#b8145a", "#0b7285", "#57606a")
DARK = ("#6cb2ff", "#ff9a62", "#58cf9f", "#d297ee", "#dfb94c", "#ff86b5", "#5fcbdc", "#aab2bd")
COLORS = len(LIGHT)

_COLORS = "".join(
    f".s{at}{{--own:var(--c{at})}}" for at in range(COLORS)
)  # what a chart or key draws in the color of its codec

STYLE = (
    ":root{--back:#f7f7f5;--card:#fff;--text:#1c2128;--soft:#5b6470;--line:#dfe2e6;--heat:11,99,181;"
    "--good:#0f7a3d;--bad:#b3261e;"
    + "".join(f"--c{at}:{color};" for at, color in enumerate(LIGHT))
    + "}@media(prefers-color-scheme:dark){:root{--back:#14161a;--card:#1c1f24;--text:#e6e9ee;--soft:#9aa4b1;"
    "--line:#323841;--heat:108,178,255;--good:#62d08f;--bad:#ff8f87;"
    + "".join(f"--c{at}:{color};" for at, color in enumerate(DARK))
    + "}}"
    + _COLORS
    + """
*{box-sizing:border-box}
body{margin:0 auto;max-width:1240px;padding:28px 22px 70px;background:var(--back);color:var(--text);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
h1{font-size:25px;line-height:1.25;margin:0 0 4px}h2{font-size:19px;margin:44px 0 4px}
h3{font-size:14px;margin:0 0 4px;font-weight:600}h4{font-size:14px;margin:18px 0 6px;font-weight:600}
p{margin:4px 0;max-width:80ch}.soft,small{color:var(--soft)}small{font-size:12px}
h2+p.soft{margin-bottom:12px}
.badges{display:flex;flex-wrap:wrap;gap:6px;margin:12px 0 0;padding:0}
.badges li{list-style:none;border:1px solid var(--line);background:var(--card);border-radius:20px;
padding:2px 12px;font-size:13px}
.badges .bad{border-color:var(--bad);color:var(--bad)}
ul.says{margin:14px 0 0;padding:14px 18px 14px 34px;max-width:none}ul.says li{margin:3px 0}
.card p{max-width:none}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px;min-width:0}
.panels{display:grid;gap:14px;grid-template-columns:repeat(auto-fill,minmax(min(100%,350px),1fr))}
.legend{display:flex;flex-wrap:wrap;gap:3px 18px;margin:10px 0;font-size:13px}
.legend svg{width:26px;height:12px;display:inline-block;vertical-align:-1px;margin-right:6px}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font-size:11px;fill:var(--soft)}
.end{text-anchor:end}.middle{text-anchor:middle}
svg .axis{fill:var(--soft)}
svg .name{fill:var(--own);font-weight:600;paint-order:stroke;stroke:var(--card);stroke-width:3.5px;
stroke-linejoin:round}
.rule{stroke:var(--line);stroke-width:1}
.curve{fill:none;stroke:var(--own);stroke-width:2;stroke-linejoin:round}
.band{fill:var(--own);opacity:.13}.bar{stroke:var(--own);stroke-width:1.3}
.dot{fill:var(--own);stroke:var(--card);stroke-width:1}
.none{--own:var(--soft)}.none .curve,.curve.none{stroke-dasharray:2 4}
.wide{overflow-x:auto;margin:10px 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14px;min-width:100%}
th,td{padding:5px 9px;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap;
vertical-align:top}
th{color:var(--soft);font-weight:500;font-size:12.5px;vertical-align:bottom}
td small{display:block;font-size:11.5px;line-height:1.3}
th:first-child,td:first-child,.left{text-align:left}
td:first-child{font-weight:500}
td.wrap{white-space:normal;text-align:left;min-width:260px;overflow-wrap:anywhere}
tbody tr.first td{border-top:2px solid var(--line)}
tr.kind td{color:var(--soft);font-size:12.5px;padding-top:14px}
i.key{display:inline-block;width:10px;height:10px;border-radius:3px;background:var(--own);margin-right:7px}
.good{color:var(--good);font-weight:600}.worse{color:var(--bad);font-weight:600}
.heat td,.heat th{text-align:center;padding:4px 8px;border:2px solid var(--card);border-width:0 2px 2px 0}
.heat td.v{background:rgba(var(--heat),var(--a))}
.heat td:first-child,.heat th:first-child{text-align:left;position:sticky;left:0;background:var(--card);
max-width:46vw;white-space:normal}
.heat tr.kind td{font-size:12px;padding-top:12px;font-weight:400}
.tabs>input{position:absolute;opacity:0;pointer-events:none}
.tabs>label{display:inline-block;padding:4px 12px;margin:6px 6px 10px 0;border:1px solid var(--line);
border-radius:16px;font-size:13px;cursor:pointer;background:var(--card)}
.tabs>input:checked+label{background:var(--text);color:var(--back);border-color:var(--text)}
.tabs>input:focus-visible+label{outline:2px solid var(--c0);outline-offset:2px}
.tab{display:none}
.examples{display:grid;gap:16px}
.sounds{display:grid;gap:12px;grid-template-columns:repeat(auto-fill,minmax(min(100%,205px),1fr));margin-top:10px}
.sounds figure{margin:0}.sounds figcaption{font-size:13px;margin-bottom:4px;min-height:2.9em}
.sounds img{display:block;width:100%;height:132px;border-radius:4px;image-rendering:auto}
.sounds audio{display:block;width:100%;min-width:0;height:36px;margin-top:6px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 18px;margin:8px 0}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
pre{overflow-x:auto;font-size:13px;margin:8px 0;white-space:pre-wrap;overflow-wrap:anywhere}
summary{cursor:pointer;color:var(--soft);margin:8px 0}
@media(max-width:560px){body{padding:18px 12px 50px}.card{padding:12px}
dl{grid-template-columns:1fr}dd{margin-bottom:6px}h1{font-size:21px}th,td{padding:5px 8px}
.wide th:first-child,.wide td:first-child{position:sticky;left:0;background:var(--card)}}
.paper{display:none}
@media print{:root{--back:#fff;--card:#fff;--text:#000;--soft:#444;--line:#ccc}
body{max-width:none;padding:0;font-size:11px;print-color-adjust:exact;-webkit-print-color-adjust:exact}
table{font-size:9.5px}th,td{padding:2px 4px}th,td small,small{font-size:8.5px}
.tab,.paper{display:block}.tabs>input,.tabs>label,audio{display:none}
.panels{grid-template-columns:repeat(3,1fr)}.wide{overflow:visible}
.card{break-inside:avoid}.wide.card{break-inside:auto;border:0;padding:0}tr{break-inside:avoid}
tr.kind td{font-size:10px}h2,h3,h4,.legend{break-after:avoid}}
"""
)


def page(title: str, body: str) -> str:
    """A whole HTML document; `title` must be escaped."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def table(heads: str, lines: str, kind: str = "") -> str:
    """A table in a card, which scrolls by itself on narrow screens; `heads` and `lines` are rows."""
    return (
        f'<div class="card wide"><table class="{kind}"><thead>{heads}</thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def codec_cell(label: str, color: int) -> str:
    """First cell of a row: a codec with its color; `label` must be escaped."""
    return f'<td class="s{color % COLORS}"><i class="key"></i>{label}</td>'


def tabs(name: str, parts: list[tuple[str, str]]) -> str:
    """Parts of which one is seen at a time, without a program; `name` is unique on the page."""
    if len(parts) == 1:
        return parts[0][1]
    marks = "".join(
        f'<input type="radio" name="{name}" id="{name}{at}"{" checked" if at == 0 else ""}>'
        f'<label for="{name}{at}">{label}</label>'
        for at, (label, _) in enumerate(parts)
    )
    rules = "".join(f"#{name}{at}:checked~.{name}{at}{{display:block}}" for at in range(len(parts)))
    bodies = "".join(
        f'<div class="tab {name}{at}"><h4 class="paper">{label}</h4>{body}</div>'
        for at, (label, body) in enumerate(parts)
    )
    return f'<style>{rules}</style><div class="tabs">{marks}{bodies}</div>'
