/** The style sheet of all pages. Colors are named once for light and once for dark; every pair of text and ground has a contrast of 4.5 or more. */
export const style: string = `
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --card: #ffffff; --text: #1b1f26; --muted: #59616e; --line: #dfe3e8; --link: #1355c4;
  --blue: #2f6fde; --red: #cf3d3d; --green: #1d8a5b; --orange: #c46a10; --gray: #8a93a0; --purple: #7d4fd0;
  --danger: #b42323; --danger-text: #ffffff; --note: #eef4ff; --warn: #fff4e2; --bad: #fdecec; --good: #e9f7f0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171c; --card: #1c2027; --text: #e7eaef; --muted: #a3acb9; --line: #323944; --link: #85b2ff;
    --blue: #6aa2ff; --red: #ff8080; --green: #4cc593; --orange: #f0a24a; --gray: #98a2b0; --purple: #b190ff;
    --danger: #c43c3c; --danger-text: #ffffff; --note: #1d2a40; --warn: #39290f; --bad: #3c1d1f; --good: #14301f;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
a { color: var(--link); }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 8px; top: 8px; background: var(--card); padding: 8px; z-index: 1; }
header.top { background: var(--card); border-bottom: 1px solid var(--line); }
.bar { max-width: 1180px; margin: 0 auto; padding: 10px 20px; display: flex; flex-wrap: wrap; gap: 6px 24px; align-items: center; }
.bar strong { font-size: 16px; }
nav ul { display: flex; flex-wrap: wrap; gap: 4px; list-style: none; margin: 0; padding: 0; }
nav a { display: block; padding: 5px 10px; border-radius: 6px; text-decoration: none; color: var(--text); }
nav a:hover { background: var(--ground); }
nav a[aria-current] { background: var(--note); color: var(--link); font-weight: 600; }
.who { margin-left: auto; color: var(--muted); overflow-wrap: anywhere; }
main { max-width: 1180px; margin: 0 auto; padding: 20px; }
h1 { font-size: 24px; margin: 4px 0 16px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 0 0 10px; }
.head { display: flex; flex-wrap: wrap; gap: 8px 20px; align-items: center; justify-content: space-between; margin-bottom: 4px; }
.head h1 { margin-bottom: 8px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px; margin: 0 0 16px; min-width: 0; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 16px; align-items: start; }
.grid > .card { margin: 0; }
.grid { margin-bottom: 16px; }
.grid.three { grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 0 0 16px; padding: 0; list-style: none; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px; }
.tile b { display: block; font-size: 24px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile .label { color: var(--muted); }
.tile small { color: var(--muted); display: block; }
.segments { display: flex; flex-wrap: wrap; gap: 4px; }
.segments a { padding: 4px 12px; border: 1px solid var(--line); border-radius: 6px; text-decoration: none; color: var(--text); background: var(--card); }
.segments a[aria-current] { background: var(--note); border-color: var(--link); color: var(--link); font-weight: 600; }
.chart { margin: 0; }
.chart svg { width: 100%; height: auto; display: block; }
.chart svg.narrow { display: none; }
.chart svg text { font: 12px system-ui, sans-serif; }
figcaption h2 { margin: 0; }
figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; align-items: baseline; gap: 4px 16px; margin-bottom: 6px; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 12px; font-weight: 400; color: var(--muted); }
.key::before { content: ""; display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 5px; background: var(--dot, gray); }
.blue { --dot: var(--blue); } .red { --dot: var(--red); } .green { --dot: var(--green); }
.orange { --dot: var(--orange); } .gray { --dot: var(--gray); } .purple { --dot: var(--purple); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 7px 10px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child > th, tr:last-child > td { border-bottom: 0; }
thead th { color: var(--muted); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 500; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.nowrap { white-space: nowrap; }
td, dd { overflow-wrap: anywhere; }
.muted { color: var(--muted); }
code, .mono { font-family: ui-monospace, monospace; font-size: 13px; overflow-wrap: anywhere; }
pre { background: var(--ground); border: 1px solid var(--line); border-radius: 8px; padding: 12px; overflow-x: auto; font-size: 13px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; margin: 0; }
dt { color: var(--muted); }
dd { margin: 0; }
.notice { border-radius: 8px; padding: 10px 14px; margin: 0 0 16px; background: var(--note); border: 1px solid var(--line); }
.notice.warn { background: var(--warn); } .notice.bad { background: var(--bad); } .notice.good { background: var(--good); }
form.line { display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: end; }
label { display: grid; gap: 3px; color: var(--muted); min-width: 0; }
label.inline { display: flex; align-items: center; gap: 6px; }
input, select, button, textarea { font: inherit; color: var(--text); background: var(--card); border: 1px solid var(--gray); border-radius: 6px; padding: 6px 10px; max-width: 100%; }
input[type=search], input[type=text] { width: 260px; }
button { cursor: pointer; background: var(--ground); font-weight: 600; }
button.danger { background: var(--danger); border-color: var(--danger); color: var(--danger-text); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
summary { cursor: pointer; color: var(--link); padding: 4px 0; }
details form { margin-top: 8px; }
ol.timeline { list-style: none; margin: 0; padding: 0 0 0 16px; border-left: 2px solid var(--line); }
ol.timeline li { position: relative; padding: 0 0 14px; overflow-wrap: anywhere; }
ol.timeline li::before { content: ""; position: absolute; left: -22px; top: 7px; width: 10px; height: 10px; border-radius: 5px; background: var(--dot, var(--gray)); }
.badge { display: inline-block; border: 1px solid var(--line); border-radius: 999px; padding: 0 8px; font-size: 13px; background: var(--ground); }
.meter { display: block; width: 100%; min-width: 90px; margin-top: 7px; height: 8px; accent-color: var(--blue); }
footer { max-width: 1180px; margin: 0 auto; padding: 0 20px 32px; color: var(--muted); font-size: 13px; }
@media (max-width: 720px) {
  .stack thead { position: absolute; left: -9999px; }
  .stack table, .stack tbody, .stack tr, .stack td { display: block; }
  .stack td { border: 0; padding: 1px 0; }
  .stack tr { border-bottom: 1px solid var(--line); padding: 8px 0; }
  .stack td[data-label]:not([data-label=""])::before { content: attr(data-label) ": "; color: var(--muted); }
}
@media (max-width: 560px) {
  .chart svg.wide { display: none; } .chart svg.narrow { display: block; }
  main, .bar { padding: 12px; }
  dl { grid-template-columns: 1fr; } dd { margin-bottom: 8px; }
  .who { margin-left: 0; width: 100%; }
  input[type=search], input[type=text] { width: 100%; }
  form.line > label { width: 100%; }
}
`;
