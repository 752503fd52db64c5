import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { fileSource, makeFolder, nodeDirectory, nodeStore } from './node-store.js'
import { readHeader, readTensor, writeSafetensors } from './safetensors.js'
import { type CheckpointStore, memoryStore } from './store.js'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mneme-store-'))
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true, force: true })
})

describe.each<[string, () => CheckpointStore]>([
  ['memoryStore', memoryStore],
  ['nodeStore', () => nodeStore(join(folder, 'deep', 'er'))],
])('%s', (_, make) => {
  test('reads back what was written, lists and removes', async () => {
    const store = make()
    expect(await store.list()).toEqual([])
    expect(await store.read('a.bin')).toBeNull()
    await store.write('b.bin', Uint8Array.of(1, 2, 3))
    await store.write('a.bin', new Uint8Array(0))
    await store.write('b.bin', Uint8Array.of(9))
    expect(await store.list()).toEqual(['a.bin', 'b.bin'])
    expect(await store.read('b.bin')).toEqual(Uint8Array.of(9))
    expect(await store.read('a.bin')).toEqual(new Uint8Array(0))
    await store.remove('a.bin')
    await store.remove('a.bin')
    expect(await store.list()).toEqual(['b.bin'])
  })

  test('shares no memory with its users', async () => {
    const store = make()
    const bytes = new Uint8Array(8).fill(1)
    await store.write('a', bytes.subarray(2, 6))
    bytes.fill(2)
    ;(await store.read('a'))?.fill(3)
    expect(await store.read('a')).toEqual(new Uint8Array(4).fill(1))
  })

  test.each(['', '.', '..', '../a', 'a/b', 'a\\b', '/a', '.hidden', 'C:a', 'a\nb', 'x'.repeat(201)])(
    'refuses the name %j',
    async (name) => {
      const store = make()
      for (const attempt of [
        () => store.read(name),
        () => store.write(name, new Uint8Array(1)),
        () => store.remove(name),
      ]) {
        await expect(attempt()).rejects.toThrow(RangeError)
      }
    },
  )

  test('writes at the same time leave one of them whole', async () => {
    const store = make()
    await Promise.all(Array.from({ length: 8 }, (_, i) => store.write('a', new Uint8Array(50_000).fill(i))))
    const bytes = (await store.read('a')) ?? new Uint8Array(0)
    expect(bytes.length).toBe(50_000)
    expect(new Set(bytes).size).toBe(1)
  })
})

/** Makes a method of every file handle fail, as a full disk does. */
async function breakHandles(method: 'writeFile' | 'sync' | 'close', code: string): Promise<void> {
  const probe = await open(join(folder, 'probe'), 'w')
  const prototype = Object.getPrototypeOf(probe) as typeof probe
  await probe.close()
  rmSync(join(folder, 'probe'))
  vi.spyOn(prototype, method).mockImplementation(async function (this: typeof probe) {
    // half of the bytes are on the disk by then
    if (method === 'writeFile') await this.write(new Uint8Array(3))
    throw Object.assign(new Error(`${code}: no space left on device`), { code })
  } as never)
}

describe('nodeStore when writing fails', () => {
  test.each([
    ['writeFile', 'ENOSPC'],
    ['sync', 'EIO'],
  ] as const)('%s: the old file stays, no temporary file does', async (method, code) => {
    const store = nodeStore(folder)
    await store.write('a', Uint8Array.of(1, 2, 3, 4))
    await breakHandles(method, code)
    await expect(store.write('a', Uint8Array.of(5, 6, 7, 8))).rejects.toThrow(
      /could not write .*a, which is as it was: (ENOSPC|EIO)/,
    )
    expect(readdirSync(folder)).toEqual(['a'])
    expect([...readFileSync(join(folder, 'a'))]).toEqual([1, 2, 3, 4])
  })

  test('a rename that fails', async () => {
    mkdirSync(join(folder, 'a', 'full'), { recursive: true })
    await expect(nodeStore(folder).write('a', Uint8Array.of(1))).rejects.toThrow(/could not write/)
    expect(readdirSync(folder)).toEqual(['a'])
  })

  test.skipIf(process.getuid?.() === 0)('a read-only folder', async () => {
    const store = nodeStore(folder)
    await store.write('a', Uint8Array.of(1))
    chmodSync(folder, 0o555)
    await expect(store.write('a', Uint8Array.of(2))).rejects.toThrow(/could not write/)
    chmodSync(folder, 0o755)
    expect(await store.read('a')).toEqual(Uint8Array.of(1))
  })

  test('a folder that cannot be made', async () => {
    writeFileSync(join(folder, 'file'), '')
    const told = /nodeStore\.write: expected a folder that is there or can be made, got .*file \(EEXIST.*\)\. Name one/
    await expect(nodeStore(join(folder, 'file')).write('a', Uint8Array.of(1))).rejects.toThrow(told)
    await expect(nodeStore(join(folder, 'file', 'under')).write('a', Uint8Array.of(1))).rejects.toThrow(/EEXIST.*file'/)
  })

  test.runIf(process.platform === 'linux')('a file system that holds no folders of others', async () => {
    const told = /^here: expected a folder .*, got \/proc\/none\/deep \(ENOENT.*'\/proc\/none'\)\. Name one/
    await expect(makeFolder('here', '/proc/none/deep')).rejects.toThrow(told)
  })
})

test('a folder is made with those above it, also by several at once, and left as it is once there', async () => {
  const deep = join(folder, 'a', 'b', 'c')
  await Promise.all([1, 2, 3].map(() => makeFolder('here', deep)))
  writeFileSync(join(deep, 'file'), 'kept')
  await makeFolder('here', deep)
  expect(readdirSync(deep)).toEqual(['file'])
})

test('what a crash leaves is not seen, and goes once it is a day old', async () => {
  const store = nodeStore(folder)
  await store.write('a', Uint8Array.of(1))
  const [young, old] = [join(folder, '.a.1-x-0.tmp'), join(folder, '.a.2-x-0.tmp')]
  for (const path of [young, old]) writeFileSync(path, 'half')
  const past = Date.now() / 1000 - 2 * 24 * 60 * 60
  utimesSync(old, past, past)
  expect(await store.list()).toEqual(['a'])
  await store.write('a', Uint8Array.of(2))
  expect(await store.read('a')).toEqual(Uint8Array.of(2))
  expect(readdirSync(folder).sort()).toEqual(['.a.1-x-0.tmp', 'a'])
})

test('nodeDirectory reads one tensor out of a file, and notices that the file was replaced', async () => {
  const store = nodeStore(folder)
  await store.write(
    'm.safetensors',
    writeSafetensors({ a: { shape: [2], values: Float32Array.of(1, 2) }, b: { shape: [1], values: Int8Array.of(5) } }),
  )
  expect(await nodeDirectory(folder).open('none')).toBeNull()
  await expect(nodeDirectory(folder).open('../none')).rejects.toThrow(RangeError)
  const source = await nodeDirectory(folder).open('m.safetensors')
  if (source === null) throw new Error('expected a source')
  expect(source.size).toBe(statSync(join(folder, 'm.safetensors')).size)
  const header = await readHeader(source)
  expect((await readTensor(source, header, 'b')).values).toEqual(Int8Array.of(5))
  await store.write('m.safetensors', writeSafetensors({}))
  await expect(readTensor(source, header, 'b')).rejects.toThrow(/changed while it was read/)
  await expect(fileSource(join(folder, 'none'))).rejects.toThrow(/ENOENT/)
})
