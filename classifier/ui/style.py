"""The look of what `markup` makes; every colour follows the theme, so that light and dark both read well."""

CSS = """
<style>
.block-container, [data-testid="stMainBlockContainer"] { padding-top: 3.5rem; padding-bottom: 4rem; max-width: 82rem; }
.dc { --muted: color-mix(in srgb, currentColor 68%, transparent);
      --line: color-mix(in srgb, currentColor 13%, transparent);
      --track: color-mix(in srgb, currentColor 8%, transparent);
      --ink: color-mix(in oklab, var(--label, currentColor) 80%, light-dark(black, white));
      line-height: 1.5; overflow-wrap: anywhere; }
.dc h1, .dc h2, .dc h3, .dc p, .dc ol, .dc ul, .dc dl, .dc dd { margin: 0; padding: 0; }
.dc ol, .dc ul { list-style: none; }
.dc li { margin: 0; font-size: inherit; }
.dc h1 { font-size: 1.75rem; font-weight: 650; letter-spacing: -0.015em; line-height: 1.2; }
.dc h2 { font-size: 1.1rem; font-weight: 600; letter-spacing: 0; line-height: 1.35; }
.dc .lead { color: var(--muted); margin-top: 0.3rem; max-width: 46rem; }
.dc.small, .dc .small { color: var(--muted); font-size: 0.875rem; }
.dc .user { unicode-bidi: isolate; }
.dc .passage { white-space: pre-wrap; unicode-bidi: plaintext; }

.dc.result { border-left: 4px solid var(--label, var(--line)); padding: 0.15rem 0 0.15rem 1.25rem; }
.dc.result h2 { color: var(--ink); font-size: 1.9rem; font-weight: 680; letter-spacing: -0.02em; line-height: 1.2; }
.dc.result .sure { font-size: 1.05rem; margin-top: 0.2rem; }
.dc.result .sure strong { font-weight: 620; }
.dc .candidates { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.1rem 0.9rem; margin-top: 0.9rem; }
.dc .number { font-variant-numeric: tabular-nums; white-space: nowrap; }

.dc .bars { display: grid; grid-template-columns: fit-content(45%) minmax(3rem, 1fr) max-content;
            column-gap: 0.9rem; row-gap: 0.5rem; align-items: center; margin-top: 1.1rem; }
.dc .bars li { display: contents; }
.dc .bars .number { text-align: right; color: var(--muted); font-size: 0.9rem; }
.dc .bars li:first-child :is(.name, .number) { font-weight: 620; color: inherit; }
.dc .track { display: block; height: 0.55rem; border-radius: 1rem; background: var(--track); overflow: hidden; }
.dc .fill { display: block; height: 100%; min-width: 2px; border-radius: 1rem; background: var(--label, currentColor); }
.dc .facts { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; margin-top: 1.1rem; }

.dc.cards { display: grid; gap: 0.75rem; }
.dc .card { border: 1px solid var(--line); border-radius: 0.6rem; padding: 0.8rem 1rem 0.85rem; }
.dc .card header { display: flex; align-items: center; gap: 0.75rem; margin-bottom: 0.4rem; }
.dc .chip { display: inline-flex; align-items: center; gap: 0.45rem; min-width: 0; color: var(--ink);
            font-weight: 600; font-size: 0.9rem; line-height: 1.35; }
.dc .chip::before { content: ""; flex: none; width: 0.6rem; height: 0.6rem; border-radius: 50%;
                    background: var(--label, currentColor); }
.dc .chips { display: flex; flex-wrap: wrap; gap: 0.1rem 0.9rem; min-width: 0; }
.dc .counts { display: flex; flex-wrap: wrap; gap: 0.15rem 1.3rem; margin-top: 0.35rem; }
.dc.result h2.chips { color: inherit; gap: 0.1rem 1.2rem; }
.dc h2 .chip { color: inherit; font: inherit; }
.dc .card .id { flex: none; max-width: 40%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.dc .card .similarity { margin-left: auto; flex: none; display: flex; align-items: center; gap: 0.55rem; }
.dc .card .track { width: 4.5rem; height: 0.4rem; }
.dc .card .similarity .number { font-size: 0.9rem; }
.dc details summary { cursor: pointer; list-style: none; }
.dc details summary::-webkit-details-marker { display: none; }
.dc details summary::after { content: "Show all"; display: inline-block; white-space: nowrap;
                             color: var(--muted); font-size: 0.85rem; text-decoration: underline;
                             text-decoration-color: var(--line); text-underline-offset: 0.2em; }
.dc details summary .start { margin-right: 0.5rem; }
.dc details[open] summary::after { content: "Show less"; }
.dc details[open] summary .start { display: none; }
.dc details[open] .passage { max-height: 22rem; overflow-y: auto; margin-top: 0.3rem; }

.dc.model dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.35rem 1rem; font-size: 0.9rem; }
.dc.model dt { color: var(--muted); }
.dc.model dd { font-variant-numeric: tabular-nums; }
.dc.model .private { margin-top: 1.25rem; padding-top: 1rem; border-top: 1px solid var(--line); }
.dc.steps { max-width: 44rem; }
.dc a.action { display: inline-block; margin-top: 1rem; padding: 0.5rem 1rem; border-radius: 0.6rem; font-weight: 600;
               background: #3b6fd4; color: white; text-decoration: none; }
.dc.quoted, .dc .quoted { border-left: 3px solid var(--line); padding-left: 0.8rem; }
.dc .quoted { margin-top: 0.4rem; max-width: 60rem; }
.dc.preview { display: grid; gap: 0.3rem; }
.dc .rejected { display: grid; gap: 0.2rem; margin-top: 0.4rem; max-height: 14rem; overflow-y: auto; }
.dc.preview li { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }

.st-key-all-labels { padding-left: calc(1.25rem + 4px); }
[class*="st-key-example-"] button { width: 100%; justify-content: flex-start; text-align: left; padding: 0.7rem 1rem; }
[class*="st-key-example-"] button > div, [class*="st-key-example-"] button [data-testid="stMarkdownContainer"] {
  justify-content: flex-start; text-align: left; }
[data-testid="stAlertContainer"] { overflow-wrap: anywhere; }
@media (max-width: 640px) {
  [data-testid="stMainBlockContainer"] { padding-left: 1rem; padding-right: 1rem; }
  .dc .card .track { width: 3rem; }
}
</style>
"""
