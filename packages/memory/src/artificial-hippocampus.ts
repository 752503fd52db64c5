import {
  dims,
  extended,
  HeadMaps,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  type Module,
  type Pass,
  type Rng,
  Rotary,
  type RotaryOptions,
  repeatedHeads,
  rowByRow,
  type SequenceMixer,
  type State,
  softmaxAttention,
} from '@mneme/core-tensor'
import { add, concat, pad, reshape, slice, type Tensor, tensor1d, zeros } from '@tensorflow/tfjs-core'

/** What a compressor gets for every token of a pass: the token's own query, and what leaves the window at its turn. */
export interface LeavingTokens {
  /** Inputs of the present tokens, `[B, T, D]`. */
  readonly x: Tensor
  /** Queries of the present tokens, `[B, T, H, K]`. */
  readonly q: Tensor
  /** Key and value that leave, `[B, T, H, K]`; zeros where none does. */
  readonly k: Tensor
  readonly v: Tensor
  /** What `gates` made of the leaving token's input, `[B, T, G]`; null where the compressor has none. */
  readonly gates: Tensor | null
  /** 1 where a token leaves, else 0, `[1, T, 1]`. */
  readonly leaves: Tensor
}

/** A recurrent memory of the tokens that a window no longer holds: at each token it takes in one, then is read. */
export interface Compressor extends Module {
  /** Width G of what is kept of a token's input until it leaves; 0 for nothing. */
  readonly gateWidth: number
  /** The memory before anything was compressed, for `batch` rows. */
  initialState(batch: number): State
  /** `[B, T, D]` to `[B, T, G]`. */
  gates(x: Tensor): Tensor
  /** What is read for each token, `[B, T, H, K]`: zeros as long as nothing was taken in. */
  forward(tokens: LeavingTokens, state: State, pass?: Pass): Mixed<State>
  /** Bytes of one row. */
  stateBytes(): number
}

export interface ArtificialHippocampusOptions {
  readonly dModel: number
  readonly nHeads: number
  /** Heads of keys and values, each shared by nHeads / nKvHeads query heads. */
  readonly nKvHeads: number
  readonly dHead: number
  /** Tokens that attention sees, first ones included. */
  readonly window: number
  /** First tokens of the text, which never leave. */
  readonly sinks: number
  readonly rotary: RotaryOptions | null
  readonly projection?: LinearOptions
}

export interface ArtificialHippocampusState {
  readonly [name: string]: State
  /** Sinks, then the latest tokens, in order: `[B, up to window, G, K]`; null while empty. */
  readonly keys: Tensor | null
  readonly values: Tensor | null
  /** `[B, up to window, gateWidth]`; null while empty, or where the compressor has none. */
  readonly gates: Tensor | null
  readonly compressed: State
  /** Position of the next token. */
  readonly position: number
}

/**
 * Attention over a few first tokens and a window, and a recurrent memory into which every token goes that leaves it.
 *
 *   o_t = Σ_{j < a or t - j < W - a} softmax_j(q_t·k_j / √K) v_j + read(S_t, q_t)
 *   S_t = absorb(S_{t-1}; k_j, v_j),   j = t - (W - a) ≥ a
 *
 * q `[B, T, H, K]`, k and v `[B, T, G, K]`; a sinks, W the window with them. A token is visible or absorbed, never both.
 * State: keys and values of at most W tokens, `[B, W, G, K]`, and the compressor's, constant in T. Time O(T W H K) and that of the compressor.
 * Paper: Fang et al. 2025, arXiv:2510.07318, section 3.
 */
export class ArtificialHippocampus extends HeadMaps implements SequenceMixer<ArtificialHippocampusState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  private readonly rotary: Rotary | null

  constructor(
    readonly compressor: Compressor,
    private readonly options: ArtificialHippocampusOptions,
    rng: Rng,
  ) {
    super('ArtificialHippocampus', options, rng)
    const { window, sinks, rotary } = options
    if (!(sinks >= 0 && window > sinks)) {
      throw new RangeError(
        `ArtificialHippocampus window: expected more than the sinks, of which there are ${sinks}, got ${window}.`,
      )
    }
    this.rotary = rotary === null ? null : new Rotary(rotary)
  }

  initialState(batch: number): ArtificialHippocampusState {
    const compressed = this.compressor.initialState(batch)
    return { keys: null, values: null, gates: null, compressed, position: 0 }
  }

  forward(x: Tensor, state?: ArtificialHippocampusState, pass?: Pass): Mixed<ArtificialHippocampusState> {
    const { dModel, window, sinks } = this.options
    const { B, T } = dims('ArtificialHippocampus.forward x', x, 'B T D', { D: dModel })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const before = state ?? this.initialState(B)
    const turn = (heads: Tensor): Tensor => this.rotary?.forward(heads, before.position) ?? heads
    const q = turn(this.heads(this.qProj, x))
    const keys = extended(before.keys, turn(this.heads(this.kProj, x)))
    const values = extended(before.values, this.heads(this.vProj, x))
    const gates = this.compressor.gateWidth === 0 ? null : extended(before.gates, this.compressor.gates(x))
    const local = softmaxAttention({ q, k: keys, v: values }, { causal: true, window: window - sinks, sinks })
    const leaving = {
      x,
      q,
      k: this.perHead(this.leaving(keys, T)),
      v: this.perHead(this.leaving(values, T)),
      gates: gates && this.leaving(gates, T),
      leaves: this.leaves(keys.shape[1] as number, T),
    }
    const read = this.compressor.forward(leaving, before.compressed, pass)
    pass?.record?.record('read', read.y)
    return {
      y: this.fromHeads(add(local.o, read.y)),
      state: {
        keys: this.kept(keys),
        values: this.kept(values),
        gates: gates && this.kept(gates),
        compressed: read.state,
        position: before.position + T,
      },
    }
  }

  /** What leaves at each of the last T tokens of a context `[B, S, ...]`: those after the sinks, for the last S - W. */
  private leaving(context: Tensor, T: number): Tensor {
    const [B, S, ...rest] = context.shape as [number, number, ...number[]]
    const count = Math.max(0, S - this.options.window)
    const zero = rest.map((): [number, number] => [0, 0])
    if (count === 0) return zeros([B, T, ...rest])
    const gone = slice(context, [0, this.options.sinks, ...rest.map(() => 0)], [B, count, ...rest])
    return count === T ? gone : pad(gone, [[0, 0], [T - count, 0], ...zero])
  }

  private leaves(S: number, T: number): Tensor {
    const first = T - Math.max(0, S - this.options.window)
    return reshape(tensor1d(Float32Array.from({ length: T }, (_, t) => (t >= first ? 1 : 0))), [1, T, 1])
  }

  /** Heads of keys or values repeated for the query heads that share them. */
  private perHead(x: Tensor): Tensor {
    return repeatedHeads(x, this.options.nHeads / this.options.nKvHeads)
  }

  /** Sinks and the latest tokens of a context. */
  private kept(context: Tensor): Tensor {
    const [B, S, ...rest] = context.shape as [number, number, ...number[]]
    const { window, sinks } = this.options
    if (S <= window) return context
    const part = (from: number, size: number): Tensor =>
      slice(context, [0, from, ...rest.map(() => 0)], [B, size, ...rest])
    const latest = part(S - window + sinks, window - sinks)
    return sinks === 0 ? latest : concat([part(0, sinks), latest], 1)
  }

  stateBytes(length: number): number {
    const { nKvHeads, dHead, window } = this.options
    const token = 2 * nKvHeads * dHead + this.compressor.gateWidth
    return 4 * Math.min(length, window) * token + this.compressor.stateBytes()
  }
}
