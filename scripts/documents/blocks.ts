import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A fenced block of code in a document. Behind the fence stand its language, and the file that it is, if it has a name. */
export interface Block {
  readonly document: string
  readonly title: string
  readonly language: 'ts' | 'sh' | 'python'
  /** What it is called in its document's folder. */
  readonly file: string
  /** As it is printed. */
  readonly code: string
  /** As it is run: the same, but for what `<!-- tested with `a` as `b` -->` in front of it shortens. */
  readonly run: string
}

export const root = fileURLToPath(new URL('../..', import.meta.url))

const inFolder = (folder: string): string[] => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`)

/** Every document that a user reads for how something is done. */
export const documents: readonly string[] = [
  'README.md',
  ...inFolder('packages').map((folder) => `${folder}/README.md`),
  ...inFolder('docs/guides'),
].filter((document) => document.endsWith('.md') && existsSync(join(root, document)))

const extensions = { ts: 'ts', sh: 'sh', python: 'py' }
const fence = /(?:^<!-- tested with (.+) -->\n\n)?^```([^\n`]*)\n([\s\S]*?)^```$/gm

/** The blocks of a document, in order. @throws Error for one that nobody would run */
export function blocksOf(document: string): Block[] {
  const text = readFileSync(join(root, document), 'utf8')
  const blocks = Array.from(text.matchAll(fence), ([, shortened, info = '', code = ''], i) => {
    const [language = '', name] = info.trim().split(' ')
    if (!Object.hasOwn(extensions, language)) {
      throw new Error(`${document}, block ${i + 1}: expected ts, sh or python behind the fence, got '${language}'.`)
    }
    const known = language as keyof typeof extensions
    const title = `${document}, block ${i + 1}`
    const file = name ?? `block-${i + 1}.${extensions[known]}`
    return { document, title, language: known, file, code, run: shorten(title, code, shortened) }
  })
  const fences = text.match(/^ *```/gm)?.length ?? 0
  if (fences !== 2 * blocks.length) throw new Error(`${document}: expected every fence at the start of its line.`)
  return blocks
}

/** Puts each `b` in the place of its `a`, which has to be there. */
function shorten(title: string, code: string, changes: string | undefined): string {
  let text = code
  for (const [, from = '', to = ''] of changes?.matchAll(/`([^`]+)` as `([^`]+)`/g) ?? []) {
    if (!text.includes(from)) throw new Error(`${title}: expected ${from} in it, since it is tested with ${to}.`)
    text = text.replaceAll(from, to)
  }
  return text
}

/** Whether a block only says what there is, for other blocks to import. */
export const isModule = ({ language, code }: Block): boolean =>
  language === 'ts' && /^export /m.test(code) && !/^await /m.test(code)

/** Whether a block runs where there is a device for WebGPU, in the tests of that backend. */
export const isForWebGPU = (block: Block): boolean =>
  block.language === 'ts' && /from '@mneme\/kernels-webgpu/.test(block.code) && !isModule(block)

/**
 * A new folder in which packages are found as in any project, and of which nothing is kept.
 *
 * @param name  of whoever asks, since several may at once
 */
export function scratch(name: string): string {
  const parent = join(root, 'node_modules', '.mneme-documents')
  mkdirSync(parent, { recursive: true })
  return mkdtempSync(join(parent, `${name}-`))
}

/** Writes a document's blocks into a folder of their own below `parent`; returns that folder. */
export function written(parent: string, document: string, blocks: readonly Block[]): string {
  const folder = join(parent, document.replaceAll('/', '-').replace(/\.md$/, ''))
  if (!existsSync(folder)) mkdirSync(folder)
  for (const { file, language, run } of blocks) {
    writeFileSync(join(folder, file), language === 'ts' && !/^(im|ex)port /m.test(run) ? `${run}\nexport {}\n` : run)
  }
  return folder
}
