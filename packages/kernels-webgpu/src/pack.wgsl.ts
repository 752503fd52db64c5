import type { Shader } from './run.js'

/** One of several tensors that are packed into one, so that a dispatch binds fewer buffers. */
export interface Piece {
  readonly name: string
  /** How many numbers, as a WGSL expression of the shader's sizes. */
  readonly count: string
  /** What stands there if the tensor is absent. */
  readonly otherwise?: number
}

/** Pieces one after another in the output `packed`; `present` are the names of those that are there. */
export function pack(
  name: string,
  packed: string,
  sizes: readonly string[],
  pieces: readonly Piece[],
  present: readonly string[],
): Shader {
  const lines = pieces.map(({ name: piece, count, otherwise = 0 }) => {
    const value = present.includes(piece) ? `${piece}[i]` : `f32(${otherwise})`
    return `  if (i < ${count}) { ${packed}[index] = ${value}; return; }\n  i -= ${count};`
  })
  return {
    name,
    sizes,
    inputs: pieces.map((piece) => piece.name).filter((piece) => present.includes(piece)),
    outputs: [packed],
    body: `fn run(index: u32) {\n  var i = index;\n${lines.join('\n')}\n}`,
  }
}
