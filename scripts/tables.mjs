// Writes the generated tables of the documents from the registry; with --check only says whether they are fresh.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { root } from './setup.mjs'

const { loadPaper, paperKeys } = await import('@mneme/models')
const check = process.argv.includes('--check')
const cards = await Promise.all(paperKeys.map(async (key) => (await loadPaper(key)).card))

const link = ({ title, arxiv }) => `[${title}](https://arxiv.org/abs/${arxiv})`
const rows = cards.map((card) => `| \`${card.key}\` | ${link(card)} | ${card.year} | ${card.state} | ${card.cost} |`)
const table = ['| key | paper | year | state | cost a token |', '| --- | --- | --- | --- | --- |', ...rows].join('\n')

const pages = cards
  .map((card) =>
    [
      `## ${card.title}`,
      '',
      `\`${card.key}\` · ${card.authors} · ${card.year} · [arXiv:${card.arxiv}](https://arxiv.org/abs/${card.arxiv})`,
      '',
      `$$${card.equation}$$`,
      '',
      `- State: ${card.state}`,
      `- Cost a token: ${card.cost}`,
      `- Claim: ${card.claim}`,
      ...card.differs.map((line) => `- Differs: ${line}`),
      '',
    ].join('\n'),
  )
  .join('\n')

const targets = [
  { file: 'README.md', text: (old) => between(old, 'papers', table) },
  {
    file: 'docs/papers.md',
    text: () => `# Papers\n\nGenerated from the cards by \`node scripts/tables.mjs\`.\n\n${table}\n\n${pages}`,
  },
]

function between(text, name, content) {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const [from, to] = [text.indexOf(open), text.indexOf(close)]
  if (from < 0 || to < from) throw new Error(`README.md: expected ${open} and ${close}, found none.`)
  return `${text.slice(0, from + open.length)}\n${content}\n${text.slice(to)}`
}

let stale = false
for (const { file, text } of targets) {
  const path = `${root}${file}`
  const old = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const now = text(old)
  if (old === now) continue
  if (check) {
    console.error(`${file} is not fresh. Run: node scripts/tables.mjs`)
    stale = true
  } else writeFileSync(path, now)
}
process.exit(stale ? 1 : 0)
