"""Times PyTorch on one thread, for mneme bench: reads {"ops": [{op, dims}]} from standard input, prints JSON.

Recurrences are loops over tokens, as PyTorch users write them; attention is a masked softmax; the language model is
torch.nn.GRU.
"""

import inspect
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
torch.manual_seed(0)


def timed(run, budget=1.0):
    """Median of the runs that fit the budget; a run that alone takes longer counts by itself."""
    samples = []
    start = time.perf_counter()
    run()
    first = time.perf_counter() - start
    if first > budget:
        return 1000 * first
    end = time.perf_counter() + budget
    while len(samples) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        samples.append(time.perf_counter() - start)
    return 1000 * statistics.median(samples)


def normal(*shape):
    return torch.randn(*shape, requires_grad=True)


def unit(*shape):
    return torch.rand(*shape).mul(0.96).add(0.02).requires_grad_()


def linear_scan(B, T, D):
    a, b = unit(B, T, D), normal(B, T, D)

    def run():
        h, out = torch.zeros(B, D), []
        for t in range(T):
            h = a[:, t] * h + b[:, t]
            out.append(h)
        return torch.stack(out, 1)

    return run


def min_gru(B, T, E):
    hidden, gate = normal(B, T, E), normal(B, T, E)

    def run():
        z = torch.sigmoid(gate)
        b = z * torch.where(hidden >= 0, hidden + 0.5, torch.sigmoid(hidden))
        h, out = torch.zeros(B, E), []
        for t in range(T):
            h = (1 - z[:, t]) * h + b[:, t]
            out.append(h)
        return torch.stack(out, 1)

    return run


def selective_scan(B, T, D, N):
    u, delta, z = normal(B, T, D), normal(B, T, D), normal(B, T, D)
    A = (-torch.rand(D, N) - 0.05).requires_grad_()
    Bt, C, skip = normal(B, T, N), normal(B, T, N), normal(D)

    def run():
        dt = F.softplus(delta)
        h, out = torch.zeros(B, D, N), []
        for t in range(T):
            h = torch.exp(dt[:, t, :, None] * A) * h + (dt[:, t] * u[:, t])[..., None] * Bt[:, t, None]
            out.append((h * C[:, t, None]).sum(-1))
        return (torch.stack(out, 1) + skip * u) * F.silu(z)

    return run


def gated_linear_attention(B, T, H, K, V):
    q, k, v = normal(B, T, H, K), normal(B, T, H, K), normal(B, T, H, V)
    decay = unit(B, T, H, K)

    def run():
        S, out = torch.zeros(B, H, K, V), []
        for t in range(T):
            S = decay[:, t, :, :, None] * S + k[:, t, :, :, None] * v[:, t, :, None]
            out.append((q[:, t, :, None] @ S).squeeze(2))
        return torch.stack(out, 1) * K**-0.5

    return run


def delta_rule(B, T, H, K, V):
    q, v, beta = normal(B, T, H, K), normal(B, T, H, V), unit(B, T, H)
    k = F.normalize(torch.randn(B, T, H, K), dim=-1).requires_grad_()

    def run():
        S, out = torch.zeros(B, H, K, V), []
        for t in range(T):
            error = v[:, t] - (k[:, t, :, None] @ S).squeeze(2)
            S = S + k[:, t, :, :, None] * (beta[:, t, :, None] * error)[:, :, None]
            out.append((q[:, t, :, None] @ S).squeeze(2))
        return torch.stack(out, 1) * K**-0.5

    return run


def softmax_attention(B, T, H, K, V):
    q, k, v = normal(B, H, T, K), normal(B, H, T, K), normal(B, H, T, V)
    later = torch.ones(T, T, dtype=torch.bool).triu(1)

    def run():
        scores = (q @ k.transpose(-1, -2) * K**-0.5).masked_fill(later, float("-inf"))
        return scores.softmax(-1) @ v

    return run


def mat_mul(M, N, K):
    a, b = normal(M, K), normal(K, N)
    return lambda: a @ b


cases = {
    "linearScan": linear_scan,
    "minGru": min_gru,
    "selectiveScan": selective_scan,
    "gatedLinearAttention": gated_linear_attention,
    "deltaRule": delta_rule,
    "softmaxAttention": softmax_attention,
    "matMul": mat_mul,
}


def both_ways(run):
    def step():
        run().sum().backward()

    return step


def gru_language_model(V=64, D=128, B=8, T=256):
    """One AdamW step of a language model of two nn.GRU layers."""
    embedding, gru, head = torch.nn.Embedding(V, D), torch.nn.GRU(D, D, 2, batch_first=True), torch.nn.Linear(D, V)
    parameters = [p for m in (embedding, gru, head) for p in m.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    ids, targets = torch.randint(V, (B, T)), torch.randint(V, (B, T))

    def step():
        optimizer.zero_grad()
        F.cross_entropy(head(gru(embedding(ids))[0]).flatten(0, 1), targets.flatten()).backward()
        optimizer.step()

    return timed(step, 3)


def main():
    asked = json.load(sys.stdin)
    rows = []
    for case in asked["ops"]:
        make = cases.get(case["op"])
        if make is None:
            rows.append(None)
            continue
        wanted = inspect.signature(make).parameters
        run = make(**{axis: size for axis, size in case["dims"].items() if axis in wanted})
        with torch.no_grad():
            forward = timed(run)
        both = timed(both_ways(run)) if asked["slow"] or forward < 100 else None
        rows.append({"forwardMs": forward, "bothMs": both})
    gru = gru_language_model() if asked["model"] else None
    json.dump({"version": torch.__version__, "rows": rows, "gruModelMs": gru}, sys.stdout)


main()
