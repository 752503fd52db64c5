// Writes the generated tables of the documents from the registry; with --check only says whether they are fresh.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { root } from './setup.mjs'

const { loadPaper, paperKeys, publishedTypes } = await import('@mneme/models')
const { opKernel, watch } = await import('@mneme/core-tensor')
const { useWasm } = await import('@mneme/kernels-wasm')
const { kernelOps } = await import('@mneme/kernels-webgpu')
const { claims } = await import('../packages/cli/dist/claims/registry.js')
const { loadResults } = await import('../packages/cli/dist/claims/store.js')
const { standing } = await import('../packages/cli/dist/claims/page.js')
const { disposeVariables, tensor2d, tidy } = await import('@tensorflow/tfjs-core')
await useWasm()

const check = process.argv.includes('--check')
const papers = await Promise.all(paperKeys.map(loadPaper))
const cards = papers.map(({ card }) => card)

/** KB of an architecture with all it stands on, as `npm run sizes` measured them last. */
const sizes = new Map(
  Array.from(
    readFileSync(`${root}docs/sizes.md`, 'utf8').matchAll(/^\| `@mneme\/models\/([^`]+)` \| (\S+) \| \S+ \| \S+ \|$/gm),
    ([, key, kb]) => [key, kb],
  ),
)

/** Of the ops in a forward of the tiny model, how many have a kernel of their own on a backend. */
function kernels({ tiny, build }) {
  const names = new Set()
  tidy(() => {
    const ids = tensor2d([[1, 2, 3, 4]], [1, 4], 'int32')
    watch({ onOp: ({ op }) => names.add(op.name) }, () => void build(tiny).forward(ids))
  })
  disposeVariables()
  const having = (has) => [...names].filter(has).length
  const wasm = having((name) => opKernel(name, 'wasm') !== undefined)
  const webgpu = having((name) => kernelOps.includes(name))
  return `cpu, wasm ${wasm}/${names.size}, webgpu ${webgpu}/${names.size}`
}

/** Where a heading of Markdown is found. */
const anchor = (title) =>
  title
    .toLowerCase()
    .replace(/[^\p{L}\p{N} -]/gu, '')
    .replaceAll(' ', '-')
const link = ({ title, arxiv }) => `[${title}](https://arxiv.org/abs/${arxiv})`

/** Every claim in a word, from the results that are kept: passes, fails, or how many runs it has. */
const judged = await Promise.all(
  claims.map(async (claim) => {
    const results = await loadResults(`${root}docs/claims`, claim)
    return { ...claim, word: results.length === 0 ? 'not run' : standing({ claim, results }) }
  }),
)

/** What the card claims, and how each experiment that judges the paper went. */
function claim({ key, title }) {
  const verdicts = judged
    .filter(({ papers }) => papers.includes(key))
    .map((one) => `[${one.key === key ? one.word : `${one.key} ${one.word}`}](docs/claims.md#${one.key})`)
  return `[claim](docs/papers.md#${anchor(title)}) ${verdicts.length > 0 ? verdicts.join(', ') : 'not run'}`
}
const table = [
  '| key | paper | year | state | cost a token | claim | KB | backends |',
  '| --- | --- | --- | --- | --- | --- | ---: | --- |',
  ...papers.map((paper) => {
    const { key, year, state, cost } = paper.card
    const cells = [`\`${key}\``, link(paper.card), year, state, cost, claim(paper.card), sizes.get(key) ?? '?']
    return `| ${[...cells, kernels(paper)].join(' | ')} |`
  }),
].join('\n')

const types = Object.entries(publishedTypes).map(([type, key]) => `| \`${type}\` | \`${key}\` |`)
const published = ['| `model_type` | paper |', '| --- | --- |', ...types].join('\n')

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
  { file: 'docs/guides/load-a-published-checkpoint.md', text: (old) => between(old, 'published', published) },
  {
    file: 'docs/papers.md',
    text: () => `# Papers\n\nGenerated from the cards by \`node scripts/tables.mjs\`.\n\n${pages}`,
  },
]

function between(text, name, content) {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const [from, to] = [text.indexOf(open), text.indexOf(close)]
  if (from < 0 || to < from) throw new Error(`expected ${open} and ${close}, found none.`)
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
