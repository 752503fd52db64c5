import {
  add,
  concat,
  div,
  exp,
  expandDims,
  matMul,
  maximum,
  mul,
  neg,
  reshape,
  sigmoid,
  slice,
  softplus,
  squeeze,
  stack,
  sub,
  sum,
  type Tensor,
  transpose,
  unstack,
  zeros,
} from '@tensorflow/tfjs-core'

type Inputs = Readonly<Record<string, Tensor>>

/** Tokens of `[B, T, ...]`, one tensor each. */
const tokens = (x: Tensor): Tensor[] => unstack(x, 1)

const given = (inputs: Inputs, name: string): Tensor => inputs[name] as Tensor

/** One step a token from a state, and the outputs of all of them. */
function loop<S>(T: number, start: S, step: (state: S, t: number) => readonly [state: S, y: Tensor]): Tensor {
  const ys: Tensor[] = []
  let state = start
  for (let t = 0; t < T; t++) {
    const [next, y] = step(state, t)
    state = next
    ys.push(y)
  }
  return stack(ys, 1)
}

function linearScan(inputs: Inputs): Tensor {
  const a = given(inputs, 'a')
  const [as, bs] = [tokens(a), tokens(given(inputs, 'b'))]
  const [B, T, D] = a.shape as [number, number, number]
  return loop(T, inputs.h0 ?? zeros([B, D]), (h, t) => {
    const next = add(mul(as[t] as Tensor, h), bs[t] as Tensor)
    return [next, next]
  })
}

function minGru(inputs: Inputs): Tensor {
  const projected = given(inputs, 'projected')
  const [B, T, both] = projected.shape as [number, number, number]
  const E = both / 2
  const parts = tokens(projected)
  return loop(T, inputs.h0 ?? zeros([B, E]), (h, t) => {
    const token = parts[t] as Tensor
    const [hidden, gate] = [slice(token, [0, 0], [B, E]), slice(token, [0, E], [B, E])]
    const z = sigmoid(gate)
    // g(x) = x + 1/2 from 0 on, a sigmoid below
    const candidate = maximum(add(hidden, 0.5), sigmoid(hidden))
    const next = add(mul(sub(1, z), h), mul(z, candidate))
    return [next, next]
  })
}

function selectiveScan(inputs: Inputs): Tensor {
  const [u, A] = [given(inputs, 'u'), given(inputs, 'A')]
  const [B, T, D] = u.shape as [number, number, number]
  const N = A.shape[1] as number
  const raw = inputs.deltaBias ? add(given(inputs, 'delta'), inputs.deltaBias) : given(inputs, 'delta')
  const [us, dts] = [tokens(u), tokens(softplus(raw))]
  const [Bs, Cs] = [tokens(given(inputs, 'Bt')), tokens(given(inputs, 'C'))]
  const y = loop(T, inputs.state ?? zeros([B, D, N]), (h, t) => {
    const [dt, token] = [dts[t] as Tensor, us[t] as Tensor]
    const decayed = mul(exp(mul(expandDims(dt, 2), A)), h)
    const next = add(decayed, mul(expandDims(mul(dt, token), 2), expandDims(Bs[t] as Tensor, 1)))
    return [next, sum(mul(next, expandDims(Cs[t] as Tensor, 1)), 2)]
  })
  const skipped = inputs.skip ? add(y, mul(u, inputs.skip)) : y
  return inputs.z ? mul(skipped, mul(inputs.z, sigmoid(inputs.z))) : skipped
}

/** Rows of every head, `[B H, 1, W]` a token. */
function rows(x: Tensor, H: number): Tensor[] {
  const [B, , heads, W] = x.shape as [number, number, number, number]
  return tokens(x).map((token) => {
    const row = heads === H ? token : reshape(concat(Array(H / heads).fill(expandDims(token, 2)), 2), [B, H, W])
    return reshape(row, [B * H, 1, W])
  })
}

/** `[B H, T, V]` to `[B, T, H, V]`. */
function byHead(o: Tensor, B: number, H: number): Tensor {
  const [, T, V] = o.shape as [number, number, number]
  return transpose(reshape(o, [B, H, T, V]), [0, 2, 1, 3])
}

function gatedLinearAttention(inputs: Inputs): Tensor {
  const [q, k, v] = [given(inputs, 'q'), given(inputs, 'k'), given(inputs, 'v')]
  const [B, T, H, V] = v.shape as [number, number, number, number]
  const K = q.shape[3] as number
  const [qs, ks, vs] = [rows(q, H), rows(k, H), rows(v, H)]
  const decays = inputs.logDecay && rows(exp(inputs.logDecay), H)
  const o = loop(T, reshape(inputs.state ?? zeros([B, H, K, V]), [B * H, K, V]), (S, t) => {
    const column = decays && reshape(decays[t] as Tensor, [B * H, -1, 1])
    const next = add(column ? mul(column, S) : S, matMul(ks[t] as Tensor, vs[t] as Tensor, true, false))
    return [next, squeeze(matMul(mul(qs[t] as Tensor, K ** -0.5), next), [1])]
  })
  return byHead(o, B, H)
}

function deltaRule(inputs: Inputs): Tensor {
  const [q, k, v] = [given(inputs, 'q'), given(inputs, 'k'), given(inputs, 'v')]
  const [B, T, H, V] = v.shape as [number, number, number, number]
  const K = q.shape[3] as number
  const [qs, ks, vs] = [rows(q, H), rows(k, H), rows(v, H)]
  const betas = rows(expandDims(given(inputs, 'beta'), 3), H)
  const decays = inputs.logDecay && rows(expandDims(exp(inputs.logDecay), 3), H)
  const o = loop(T, reshape(inputs.state ?? zeros([B, H, K, V]), [B * H, K, V]), (S, t) => {
    const kept = decays ? mul(decays[t] as Tensor, S) : S
    const error = sub(vs[t] as Tensor, matMul(ks[t] as Tensor, kept))
    const next = add(kept, matMul(ks[t] as Tensor, mul(betas[t] as Tensor, error), true, false))
    return [next, squeeze(matMul(mul(qs[t] as Tensor, K ** -0.5), next), [1])]
  })
  return byHead(o, B, H)
}

function dplrDeltaRule(inputs: Inputs): Tensor {
  const [B, T, H, V] = given(inputs, 'v').shape as [number, number, number, number]
  const [qs, ks, vs] = [rows(given(inputs, 'q'), H), rows(given(inputs, 'k'), H), rows(given(inputs, 'v'), H)]
  const [as, bs] = [rows(given(inputs, 'a'), H), rows(given(inputs, 'b'), H)]
  const K = given(inputs, 'q').shape[3] as number
  const decays = inputs.logDecay && rows(exp(inputs.logDecay), H)
  const o = loop(T, reshape(inputs.state ?? zeros([B, H, K, V]), [B * H, K, V]), (S, t) => {
    const kept = decays ? mul(reshape(decays[t] as Tensor, [B * H, K, 1]), S) : S
    const read = matMul(bs[t] as Tensor, matMul(as[t] as Tensor, S), true, false)
    const next = add(add(kept, read), matMul(ks[t] as Tensor, vs[t] as Tensor, true, false))
    return [next, squeeze(matMul(mul(qs[t] as Tensor, K ** -0.5), next), [1])]
  })
  return byHead(o, B, H)
}

function wkv4(inputs: Inputs): Tensor {
  const [k, v] = [given(inputs, 'k'), given(inputs, 'v')]
  const [B, T, D] = k.shape as [number, number, number]
  const [ks, vs] = [tokens(k), tokens(v)]
  const [w, u] = [neg(exp(given(inputs, 'timeDecay'))), given(inputs, 'timeFirst')]
  const start = [zeros([B, D]), zeros([B, D]), mul(add(zeros([B, D]), 1), -1e38)] as const
  return loop<readonly [Tensor, Tensor, Tensor]>(T, start, ([num, den, most], t) => {
    const [kt, vt] = [ks[t] as Tensor, vs[t] as Tensor]
    const now = maximum(most, add(u, kt))
    const [old, fresh] = [exp(sub(most, now)), exp(sub(add(u, kt), now))]
    const y = div(add(mul(old, num), mul(fresh, vt)), add(mul(old, den), fresh))
    const next = maximum(add(most, w), kt)
    const [kept, written] = [exp(sub(add(most, w), next)), exp(sub(kt, next))]
    return [[add(mul(kept, num), mul(written, vt)), add(mul(kept, den), written), next], y]
  })
}

/** The recurrence of an op as its definition reads: one step a token, composed of tfjs ops. Its main output. */
export const loops: Readonly<Record<string, (inputs: Inputs) => Tensor>> = {
  linearScan,
  minGru,
  selectiveScan,
  gatedLinearAttention,
  deltaRule,
  dplrDeltaRule,
  wkv4,
}
