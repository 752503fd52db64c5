import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { bytesSource } from './byte-source.js'
import {
  narrow,
  parseSafetensors,
  readHeader,
  readTensor,
  SafetensorsError,
  type SafetensorsValues,
  type TensorToWrite,
  writeSafetensors,
} from './safetensors.js'

const fixtures = fileURLToPath(new URL('../../fixtures', import.meta.url))
const shared = process.env.MNEME_GOLDENS && `${process.env.MNEME_GOLDENS}/format-safetensors`
if (!shared) console.warn('MNEME_GOLDENS is not set: the safetensors goldens run on the copies in fixtures/ only.')

interface Meaning {
  readonly dtype: string
  readonly shape: number[]
  readonly values: (string | number)[]
}

function meant({ dtype, values }: Meaning): (bigint | number)[] {
  if (dtype === 'I64') return values.map(BigInt)
  return values.map((v) => Number(String(v).replace('inf', 'Infinity')))
}

const list = (values: SafetensorsValues): (bigint | number)[] => Array.from<bigint | number>(values)

describe.each([fixtures, ...(shared ? [shared] : [])])('goldens in %s', (folder) => {
  const bytes = new Uint8Array(readFileSync(`${folder}/all-dtypes.safetensors`))
  const meanings = JSON.parse(readFileSync(`${folder}/values.json`, 'utf8')) as Record<string, Meaning>

  test('every element of every dtype', () => {
    const { tensors, metadata } = parseSafetensors(bytes)
    expect([...tensors.keys()].sort()).toEqual(Object.keys(meanings).sort())
    expect(Object.fromEntries(metadata)).toEqual({ format: 'pt', note: 'all dtypes' })
    for (const [name, meaning] of Object.entries(meanings)) {
      const found = tensors.get(name)
      expect(found?.dtype, name).toBe(meaning.dtype)
      expect(found?.shape, name).toEqual(meaning.shape)
      expect(found && list(found.values), name).toEqual(meant(meaning))
    }
  })

  test('the same from any alignment, one tensor at a time', async () => {
    for (const shift of [0, 1, 3]) {
      const moved = new Uint8Array(bytes.length + shift)
      moved.set(bytes, shift)
      const source = bytesSource(moved.subarray(shift))
      const unaligned = {
        size: source.size,
        read: async (b: number, e: number) => moved.subarray(shift + b, shift + e),
      }
      const header = await readHeader(unaligned)
      for (const [name, expected] of parseSafetensors(bytes).tensors) {
        expect(await readTensor(source, header, name)).toEqual(expected)
        expect(await readTensor(unaligned, header, name)).toEqual(expected)
      }
    }
  })

  test('written back in its own dtypes, it reads the same', () => {
    const { tensors, metadata } = parseSafetensors(bytes)
    const again = writeSafetensors(tensors, Object.fromEntries(metadata))
    expect(parseSafetensors(again)).toEqual({ tensors, metadata })
    expect(writeSafetensors(parseSafetensors(again).tensors, Object.fromEntries(metadata))).toEqual(again)
  })
})

describe('writing', () => {
  const one = (tensor: TensorToWrite): (bigint | number)[] | undefined => {
    const found = parseSafetensors(writeSafetensors({ x: tensor })).tensors.get('x')
    return found && list(found.values)
  }

  test('float32 in other dtypes', () => {
    const values = Float32Array.of(1, -2.5, 1 / 3, 1e-8, 1e6)
    expect(one({ shape: [5], values, dtype: 'F16' })).toEqual([1, -2.5, 0.333251953125, 0, Number.POSITIVE_INFINITY])
    expect(one({ shape: [3], values: Float32Array.of(-2.5, 1 / 3, 1e6), dtype: 'BF16' })).toEqual([
      -2.5, 0.333984375, 999424,
    ])
    expect(one({ shape: [5], values, dtype: 'F64' })).toEqual([...values])
    expect(one({ shape: [2], values: Float32Array.of(3, -4), dtype: 'I64' })).toEqual([3n, -4n])
    expect(one({ shape: [2], values: BigInt64Array.of(3n, -4n), dtype: 'F32' })).toEqual([3, -4])
    expect(one({ shape: [3], values: Int32Array.of(1, 0, 1), dtype: 'BOOL' })).toEqual([1, 0, 1])
  })

  test('the data begins on a multiple of eight, and metadata says pt', () => {
    const bytes = writeSafetensors({
      b: { shape: [], values: Float32Array.of(2) },
      a: { shape: [3], values: Uint8Array.of(1, 2, 3) },
    })
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true))
    expect(length % 8).toBe(0)
    expect(new TextDecoder().decode(bytes.subarray(8, 8 + length)).trimEnd()).toBe(
      '{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[3],"data_offsets":[4,7]}}',
    )
  })

  test('no tensors, and names such as __proto__', () => {
    expect(parseSafetensors(writeSafetensors({})).tensors.size).toBe(0)
    const odd = new Map([
      ['__proto__', { shape: [1], values: Float32Array.of(5) }],
      ['', { shape: [0, 3], values: new Float32Array(0) }],
    ])
    expect(list(parseSafetensors(writeSafetensors(odd)).tensors.get('__proto__')?.values ?? new Uint8Array())).toEqual([
      5,
    ])
    expect(parseSafetensors(writeSafetensors(odd)).tensors.get('')?.shape).toEqual([0, 3])
  })

  test.each<[string, TensorToWrite, RegExp]>([
    [
      'x',
      { shape: [2], values: Float32Array.of(1) },
      /^safetensors, tensor 'x': expected as many values as \[2\] has, got 1\.$/,
    ],
    ['x', { shape: [-1], values: Float32Array.of(1) }, /as many values as \[-1\]/],
    ['x', { shape: [0.5], values: Float32Array.of(1) }, /as many values as \[0.5\]/],
    [
      'x',
      { shape: [1], values: Float32Array.of(1.5), dtype: 'I32' },
      /expected I32 values within .*, got 1.5 at index 0/,
    ],
    ['x', { shape: [1], values: Float32Array.of(Number.NaN), dtype: 'I64' }, /got NaN at index 0/],
    ['x', { shape: [2], values: Int32Array.of(0, 256), dtype: 'U8' }, /got 256 at index 1/],
    ['x', { shape: [1], values: Int32Array.of(1), dtype: 'F8' as 'F16' }, /expected a dtype of I64/],
    ['__metadata__', { shape: [1], values: Int32Array.of(1) }, /other than __metadata__/],
    ['\ud800', { shape: [1], values: Int32Array.of(1) }, /valid Unicode/],
  ])('refuses %s %#', (name, tensor, message) => {
    expect(() => writeSafetensors({ [name]: tensor })).toThrow(SafetensorsError)
    expect(() => writeSafetensors({ [name]: tensor })).toThrow(message)
  })
})

describe('narrowing to the types of tfjs', () => {
  test('floats to float32, integers to int32', () => {
    expect(narrow('x', { dtype: 'F64', shape: [1], values: Float64Array.of(0.1) }).values).toEqual(Float32Array.of(0.1))
    expect(narrow('x', { dtype: 'I64', shape: [2], values: BigInt64Array.of(-1n, 7n) }).values).toEqual(
      Int32Array.of(-1, 7),
    )
    expect(narrow('x', { dtype: 'I8', shape: [1], values: Int8Array.of(-1) }).values).toEqual(Int32Array.of(-1))
  })

  test('refuses what does not fit', () => {
    const wide = { dtype: 'I64' as const, shape: [2], values: BigInt64Array.of(1n, 2n ** 31n) }
    expect(() => narrow('ids', wide, 'a.safetensors')).toThrow(
      "a.safetensors, tensor 'ids': expected I64 values within int32, got 2147483648 at index 1.",
    )
  })
})

/** A file with this header text and so many bytes of data. */
function fileOf(header: string, dataBytes: number, length = new TextEncoder().encode(header).length): Uint8Array {
  const json = new TextEncoder().encode(header)
  const bytes = new Uint8Array(8 + json.length + dataBytes)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true)
  bytes.set(json, 8)
  return bytes
}

const entry = (shape: string, offsets: string, dtype = '"F32"'): string =>
  `{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}}`

describe('a broken file is refused, with the file and the tensor named', () => {
  const cases: Record<string, [bytes: Uint8Array, message: RegExp]> = {
    'no bytes': [new Uint8Array(0), /^f: expected at least 8 bytes, got 0\. The file is cut short: fetch it again\.$/],
    'cut in the prefix': [new Uint8Array(7), /expected at least 8 bytes, got 7/],
    'header over the cap': [fileOf('{}', 0, 100_000_001), /at most 100000000 bytes, got 100000001/],
    'header length of 2^64 - 1': [new Uint8Array(16).fill(255), /at most 100000000 bytes/],
    'cut in the header': [fileOf('{}', 0, 100), /expected a header of 100 bytes, got a file of 10 bytes/],
    'empty header': [fileOf('', 0), /begins with '\{'/],
    'not JSON': [fileOf('{oops}', 0), /expected a JSON header/],
    'header in a list': [fileOf('[]', 0), /begins with '\{'/],
    'space before the header': [fileOf(' {}', 0), /begins with '\{'/],
    'not UTF-8': [fileOf('{"\u00ff":1}', 0).map((b) => (b === 0xc3 ? 0xff : b)), /expected a JSON header/],
    'deep nesting': [fileOf(`{"a":${'['.repeat(5000)}`, 0), /at most 200 levels/],
    'cut in the data': [
      fileOf(`{"w":${entry('[2]', '[0,8]')}}`, 7),
      /f, tensor 'w': expected data up to byte \d+, got a file of \d+ bytes/,
    ],
    'bytes left over': [fileOf(`{"w":${entry('[2]', '[0,8]')}}`, 9), /expected the data to end at byte/],
    'data without tensors': [fileOf('{}', 1), /expected the data to end at byte 10, got a file of 11/],
    'length against shape': [
      fileOf(`{"w":${entry('[3]', '[0,8]')}}`, 8),
      /'w': expected 12 bytes for F32 \[3\], got data_offsets \[0, 8\]/,
    ],
    overlap: [
      fileOf(`{"a":${entry('[2]', '[0,8]')},"b":${entry('[2]', '[4,12]')}}`, 12),
      /'b': expected data apart from that of 'a', got an overlap/,
    ],
    'an empty tensor inside another': [
      fileOf(`{"a":${entry('[2]', '[0,8]')},"b":${entry('[0]', '[4,4]')}}`, 8),
      /'b': .*overlap/,
    ],
    hole: [fileOf(`{"a":${entry('[1]', '[0,4]')},"b":${entry('[1]', '[8,12]')}}`, 12), /'b': .*hole of 4 bytes/],
    'hole at the start': [fileOf(`{"a":${entry('[1]', '[4,8]')}}`, 8), /'a': .*hole of 4 bytes/],
    'offsets the wrong way round': [fileOf(`{"a":${entry('[0]', '[4,0]')}}`, 4), /'a': expected 0 bytes/],
    'offset beyond the file': [
      fileOf(`{"a":${entry('[1]', '[9007199254740987,9007199254740991]')}}`, 4),
      /'a': expected data up to/,
    ],
    'offset negative': [
      fileOf(`{"a":${entry('[1]', '[-4,0]')}}`, 4),
      /data_offsets to be \[begin, end\], got \[-4,0\]/,
    ],
    'offset not integer': [fileOf(`{"a":${entry('[1]', '[0.5,4.5]')}}`, 5), /data_offsets/],
    'three offsets': [fileOf(`{"a":${entry('[1]', '[0,4,8]')}}`, 8), /data_offsets/],
    'dim negative': [fileOf(`{"a":${entry('[-1]', '[0,4]')}}`, 4), /shape to be a list of sizes, got \[-1\]/],
    'dim not integer': [fileOf(`{"a":${entry('[1.5]', '[0,6]')}}`, 6), /shape/],
    'dim a string': [fileOf(`{"a":${entry('["1"]', '[0,4]')}}`, 4), /shape/],
    'shape missing': [
      fileOf('{"a":{"dtype":"F32","data_offsets":[0,4]}}', 4),
      /shape to be a list of sizes, got nothing/,
    ],
    'shape overflows': [fileOf(`{"a":${entry('[4294967296,4294967296]', '[0,0]')}}`, 0), /below 2\^53 bytes/],
    'shape overflows, then is empty': [
      fileOf(`{"a":${entry('[9007199254740991,9007199254740991,0]', '[0,0]')}}`, 0),
      /below 2\^53 bytes/,
    ],
    'dim above 2^53': [fileOf(`{"a":${entry('[1e300]', '[0,0]')}}`, 0), /shape/],
    'dtype unknown': [fileOf(`{"a":${entry('[1]', '[0,4]', '"F8"')}}`, 4), /dtype to be one of F64 .*, got "F8"/],
    'dtype of a prototype': [fileOf(`{"a":${entry('[1]', '[0,4]', '"toString"')}}`, 4), /dtype/],
    'entry not an object': [fileOf('{"a":[]}', 0), /expected \{ dtype, shape, data_offsets \}/],
    'name twice': [fileOf(`{"a":${entry('[1]', '[0,4]')},"a":${entry('[1]', '[4,8]')}}`, 8), /"a" comes again/],
    'field twice': [
      fileOf('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
      /"dtype" comes again/,
    ],
    'entry inherited through __proto__': [fileOf(`{"a":{"__proto__":${entry('[1]', '[0,4]')}}}`, 4), /dtype/],
    'metadata not strings': [fileOf('{"__metadata__":{"n":1}}', 0), /__metadata__ 'n' to be a string, got 1/],
    'metadata not an object': [fileOf('{"__metadata__":"pt"}', 0), /__metadata__ to be an object/],
  }
  test.each(Object.keys(cases))('%s', async (name) => {
    const [bytes, message] = cases[name] as [Uint8Array, RegExp]
    expect(() => parseSafetensors(bytes, 'f')).toThrow(SafetensorsError)
    expect(() => parseSafetensors(bytes, 'f')).toThrow(message)
    await expect(readHeader(bytesSource(bytes, 'f'))).rejects.toThrow(message)
  })

  test('a huge tensor that is not there asks for no memory', async () => {
    const bytes = fileOf(`{"a":${entry('[1000000000000]', '[0,4000000000000]')}}`, 4)
    const asked: number[] = []
    const source = {
      name: 'f',
      size: bytes.length,
      read: async (b: number, e: number) => {
        asked.push(e - b)
        return bytes.slice(b, e)
      },
    }
    await expect(readHeader(source)).rejects.toThrow(/'a': expected data up to byte/)
    expect(Math.max(...asked)).toBeLessThan(200)
  })

  test('a source that gives too little, and a name that is not there', async () => {
    const bytes = writeSafetensors({ w: { shape: [4], values: new Float32Array(4) } })
    const source = {
      name: 'f',
      size: bytes.length,
      read: async (b: number, e: number) => bytes.slice(b, Math.min(e, bytes.length - 4)),
    }
    const header = await readHeader(source)
    await expect(readTensor(source, header, 'w')).rejects.toThrow(
      /f, tensor 'w': expected 16 bytes at byte \d+, got 12/,
    )
    await expect(readTensor(source, header, 'toString')).rejects.toThrow(/got no such name/)
  })
})
