"""Style of the page: one column, colors for states, light or dark as the reader's system."""

STYLE = """
:root{--back:#fbfbfa;--card:#fff;--text:#20242a;--soft:#68707c;--line:#e3e5e8;--ok:#3a8f5d;--warning:#d19a1d;
--alert:#c8392c;--silent:#c9ccd1;--c0:#2f6fb3;--c1:#c8602c;--c2:#8656a8;--shade:#c8392c14}
@media(prefers-color-scheme:dark){:root{--back:#15171a;--card:#1d2024;--text:#e4e6ea;--soft:#98a0ab;
--line:#30353b;--ok:#57b880;--warning:#e2b341;--alert:#ee6a5e;--silent:#464b52;--c0:#6fb0f2;--c1:#f09862;
--c2:#c096e0;--shade:#ee6a5e22}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1180px;padding:24px 20px 60px;background:var(--back);color:var(--text);
font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:22px;margin:0}h2{font-size:14px;margin:22px 0 6px;font-weight:600}p{margin:4px 0}
.soft,.legend,.tick{color:var(--soft)}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 16px;min-width:0}
.tiles{display:grid;gap:12px;margin:16px 0;grid-template-columns:repeat(auto-fit,minmax(150px,1fr))}
.tile b{display:block;font-size:20px;font-weight:600;overflow-wrap:anywhere}
.tile span{color:var(--soft);font-size:12px}
.ok-text{color:var(--ok)}.warning-text{color:var(--warning)}.alert-text{color:var(--alert)}
svg{display:block;width:100%;height:auto}
.grid{stroke:var(--line);stroke-width:1}.tick{font-size:11px;fill:var(--soft)}
.end{text-anchor:end}.middle{text-anchor:middle}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
.line0{stroke:var(--c0)}.line1{stroke:var(--c1)}.line2{stroke:var(--c2)}
.key0{background:var(--c0)}.key1{background:var(--c1)}.key2{background:var(--c2)}
rect.ok{fill:var(--ok)}rect.warning{fill:var(--warning)}
rect.alert{fill:var(--alert)}rect.silent{fill:var(--silent)}
.shade{fill:var(--shade)}.cell{fill:var(--c0)}.span{stroke:var(--soft);stroke-width:1.5}
.guide{stroke-width:1.2;stroke-dasharray:5 4}
.guide.alert{stroke:var(--alert)}.guide.warning{stroke:var(--warning)}
.guide.level{stroke:var(--soft)}
.rule{stroke:var(--text);stroke-width:1.2;stroke-dasharray:2 3}
.flag{fill:var(--soft)}.flag.activate,.flag.rollback{fill:var(--text)}
.hover{fill:transparent}.hover:hover{fill:var(--soft);opacity:.15}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:12px;margin:0 0 6px}
.legend i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:5px 14px 5px 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{color:var(--soft);font-weight:500;font-size:12px}td:last-child{overflow-wrap:anywhere}
code{font-size:12px}
"""
