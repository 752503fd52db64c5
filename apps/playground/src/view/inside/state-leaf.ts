import type { Matrix } from '../../picture/matrix'
import { type LeafHistory, type Look, tokenName } from './source'

/** Rows of a picture of a state over time; of larger states, evenly spaced values are shown. */
const mostRows = 96

export interface Leaf {
  readonly title: string
  readonly explained: string
  readonly overTime: Matrix
  readonly axes: { readonly rows: string; readonly columns: string }
  /** Where the state is a matrix a head, and all of it was read back. */
  readonly matrices: {
    readonly heads: number
    at(token: number, head: number): { readonly before: Matrix; readonly after: Matrix; readonly change: Matrix }
  } | null
}

/** `0.mixer.memory` as people read it. */
export function leafName(path: string): string {
  return path === '' ? 'state' : path.replace(/^(\d+)\.?/, (_, layer) => `layer ${Number(layer)} `).trim()
}

/** Pictures of one tensor of the state. */
export function leafOf(history: LeafHistory, look: Look): Leaf {
  return history.grows ? kept(history) : changing(history, look)
}

/** Keys, values or inputs that are kept one by one: a row each. */
function kept({ path, shape, values }: LeafHistory): Leaf {
  const rows = shape[1] ?? 1
  const columns = Math.max(1, values.length / rows)
  return {
    title: `${leafName(path)} after the last token`,
    explained: `Grows with the sequence: ${rows} entries of ${columns} values are kept by now.`,
    overTime: { rows, columns, values, rowName: plain, columnName: plain },
    axes: { rows: 'entry', columns: 'value' },
    matrices: null,
  }
}

function changing(history: LeafHistory, look: Look): Leaf {
  const { path, shape, values, stride } = history
  const T = look.tokens.length
  const width = values.length / T
  const size = shape.reduce((a, b) => a * b, 1)
  const step = Math.ceil(width / mostRows)
  const rows = Math.ceil(width / step)
  const apart = step * stride
  return {
    title: `${leafName(path)} over time`,
    explained: `${size} values at every token${apart > 1 ? `, of which one in ${apart} is shown` : ''}.`,
    overTime: {
      rows,
      columns: T,
      values: Float32Array.from({ length: rows * T }, (_, i) => {
        const [row, t] = [Math.floor(i / T), i % T]
        return values[t * width + row * step] as number
      }),
      rowName: (row) => String(row * apart + 1),
      columnName: (t) => tokenName(look, t),
    },
    axes: { rows: 'value', columns: 'after token' },
    matrices: stride === 1 ? matricesOf(history, width) : null,
  }
}

function matricesOf({ shape, values, initial }: LeafHistory, width: number): Leaf['matrices'] {
  const [, H = 1, K = 1, V = 1] = shape.length === 4 ? shape : shape.length === 3 ? [1, 1, ...shape.slice(1)] : []
  if (K < 2 || V < 2 || shape[0] !== 1) return null
  const size = K * V
  const matrix = (of: (i: number) => number): Matrix => ({
    rows: K,
    columns: V,
    values: Float32Array.from({ length: size }, (_, i) => of(i)),
    rowName: plain,
    columnName: plain,
  })
  return {
    heads: H,
    at(token, head) {
      const value = (t: number, i: number): number =>
        (t < 0 ? initial[head * size + i] : values[t * width + head * size + i]) as number
      return {
        before: matrix((i) => value(token - 1, i)),
        after: matrix((i) => value(token, i)),
        change: matrix((i) => value(token, i) - value(token - 1, i)),
      }
    },
  }
}

const plain = (i: number): string => String(i + 1)
