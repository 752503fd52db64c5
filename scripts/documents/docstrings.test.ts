import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { expect, test } from 'vitest'
import { root } from './blocks.js'

const files = readdirSync(join(root, 'packages')).flatMap((name) =>
  readdirSync(join(root, 'packages', name, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.ts$/.test(file) && !/\.(test|bench|d)\.ts$|^gen\//.test(file))
    .map((file) => join('packages', name, 'src', file)),
)

/** Functions and classes that a file exports without a word on what they do. */
function silent(file: string, text: string): string[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true)
  return source.statements.flatMap((node) => {
    if (!ts.isFunctionDeclaration(node) && !ts.isClassDeclaration(node)) return []
    const exported = ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false
    const said = ts.getJSDocCommentsAndTags(node).length > 0
    return exported && !said ? [`${file}: ${node.name?.text ?? 'default'}`] : []
  })
}

test('every function and class that a package exports says what it does', () => {
  expect(files.length).toBeGreaterThan(300)
  expect(files.flatMap((file) => silent(file, readFileSync(join(root, file), 'utf8')))).toEqual([])
})

test('that rule sees what is exported without a docstring, and nothing else', () => {
  const text =
    'export function a() {}\n/** B. */\nexport class B {}\nfunction c() {}\nexport class D {}\n// e\nexport function e() {}'
  expect(silent('x.ts', text)).toEqual(['x.ts: a', 'x.ts: D', 'x.ts: e'])
})
