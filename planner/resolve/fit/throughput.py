"""Fit the throughput model: measured rows in, `schemas/catalog/throughput.json` out.

    python -m venv v && v/bin/pip install numpy pandas scipy
    v/bin/python planner/resolve/fit/throughput.py ROWS.csv MODELS.json [--write]

The formula is that of planner/resolve/src/throughput.rs: a time is a sum of terms, each what the
hardware would need at its peak, times a factor. The log of a factor is the sum of adjustments,
one for each level of `LEVELS` (engine, device, family, ... exact setup) whose key applies. All
adjustments are found together, as the most likely ones under Gaussian priors of width `PRIOR`
(so a level that few rows speak for stays near zero) and a Student-t error of the log.
No answer of a row is stored; ranges are quantiles of the errors of rows that were left out: at
random for setups that were measured, far ones for loads that were not, whole models and whole
accelerators for those that are new. `--write` also writes these errors, as `errors.md`.
"""
import json, sys
from pathlib import Path
import numpy as np
import pandas as pd
import scipy.sparse as sp

# Peaks of one accelerator: GB/s; TFLOP/s at bf16, fp8, fp4; GB/s of the link to its neighbours.
DEVICES = {
    "h100_sxm": ("nvidia-h100-80gb", 3350, 989, 1979, 1979, 450),
    "h200_sxm": ("nvidia-h200-141gb", 4800, 989, 1979, 1979, 450),
    "b200_sxm": ("nvidia-b200", 7700, 2250, 4500, 9000, 900),
    "gb200": ("nvidia-gb200", 8000, 2500, 5000, 10000, 900),
    "b300_sxm": ("nvidia-gb300", 8000, 2500, 5000, 15000, 900),
    "gb300": ("nvidia-gb300", 8000, 2500, 5000, 15000, 900),
}
# GiB of one accelerator's memory that an engine sees: about what the catalog has.
USABLE = {"nvidia-h100-80gb": 79.2, "nvidia-h200-141gb": 139.7, "nvidia-b200": 178, "nvidia-gb200": 184, "nvidia-gb300": 275}
DATE = "2026-11-25"
SOURCES = [{
    "name": "2,622 measured TTFT and TPOT: 12 models, 5 accelerators, 3 engines; public InferenceX runs and AIConfigurator's own",
    "at": "column silicon_data_source of each row: InferenceX db-dump/2026-04-27, aic-auto-gap-analysis, qwen3.5-397b-gap-analysis",
    "date": "2026-04-27",
}]
# Quantisation mode -> bytes per weight, type of the arithmetic.
MODES = {
    "fp8": (1.0, "fp8"), "fp8_block": (1.0, "fp8"), "nvfp4": (0.5625, "fp4"), "bf16": (2.0, "bf16"),
    "bfloat16": (2.0, "bf16"), "float16": (2.0, "bf16"), "int8_wo": (1.0, "bf16"), "int4_wo": (0.5195, "bf16"),
    "w4afp8": (0.5195, "fp8"), "w4a16_mxfp4": (0.53125, "bf16"), "w4a8_mxfp4_mxfp8": (0.53125, "fp8"),
    "fp4": (0.5625, "fp4"), "sq": (1.0, "fp8"), "fp8_static": (1.0, "fp8"),
}
TPOT_TERMS = ["dense", "experts", "kv", "compute", "prefill", "layers", "link", "traffic", "host", "step", "activations"]
TTFT_TERMS = ["start", "prefill", "weights", "layers", "queue", "step", "activations"]
# Deeper levels move terms only in three bundles: what a step costs anyway, what a sequence adds, prefill.
TPOT_BUNDLES = [[0, 1, 5, 6, 9], [2, 3, 7, 8, 10], [4]]
TTFT_BUNDLES = [[0, 2, 3, 5], [1, 6], [4]]
# Physical first guesses of the factors (logs), and how far the data may pull them.
TPOT_START = np.log([1.3, 1.4, 1.5, 2.0, 2.0, 1.0, 1.0, 1.5, 0.15, 1.0, 1.0])
TTFT_START = np.log([1.0, 3.0, 1.5, 1.0, 1.0, 6.0, 1.0])
LEVELS = ["engine", "device", "family", "numbers", "spread", "model", "model_device", "setup"]
LOCKSTEP = 50  # tokens: requests that start together meet fewer foreign prompts
QUEUE = 0.7  # waits grow less than the prompts before: some arrive while others decode
# Kernels of a layer, an estimate of ours: norms, projections, attention, MLP and collectives; router and
# permutations of a MoE; compression of MLA; the indexer of sparse attention; convolution and gates of a state.
KERNELS = {"dense": 9, "moe": 15, "hybrid": 17, "mla": 19, "sparse": 31}
HOST_RANKS = 8  # more ranks of attention than a host has devices: prompts are read on other devices
ROOM_SURE = 0.8  # of the sequences that memory is thought to hold: so many it holds for sure
NEAR_LOAD = np.log(4)  # logs of the load, summed, from the nearest measured load: further is not "measured"
SHARED = 5  # levels with an adjustment per term; the rest adjust bundles
PRIOR = {"base": 0.5, "engine": 0.15, "device": 0.07, "family": 0.07, "numbers": 0.06, "spread": 0.1, "model": 0.2,
         "model_device": 0.2, "setup": 0.25}


def key(name):
    name = name.split("/")[-1].lower().removeprefix("meta-")
    for suffix in ("-fp8", "-nvfp4", "-fp4", "-instruct", "-mxfp4"):
        name = name.replace(suffix, "")
    return name


def models(path):
    found = {}
    for card in json.load(open(path)):
        k = key(card["model_id"])
        if card["params_total_b"] and k not in found:
            found[k] = card
    for alias, k in {"deepseek-v3.1": "deepseek-v3"}.items():
        found.setdefault(alias, found[k])
    return found


def rows(csv, cards):
    """One dict of plain numbers per row: what the Rust structs hold."""
    out = []
    for r in pd.read_csv(csv).to_dict("records"):
        c = cards[key(r["model_path"])]
        dp = 1 if pd.isna(r["attention_dp_size"]) else int(r["attention_dp_size"])
        # InferenceX rows of "TP n, EP n" were converted with the product of both as their size.
        square = r["moe_tp_size"] == r["moe_ep_size"] > 1 and not pd.isna(r["attention_dp_size"])
        gpus = r["moe_tp_size"] if square else max(r["tp_size"] * dp, r["moe_tp_size"] * r["moe_ep_size"])
        if dp > 1 and r["tp_size"] > 1:
            gpus = r["tp_size"]
        ep = r["moe_ep_size"]
        if r["moe_tp_size"] > 8:  # GB200, prefill and decode apart: attention data parallel and experts spread over all
            dp_of, ep = gpus, gpus
        else:
            dp_of = min(dp, gpus)
        prec = r["precision"] if isinstance(r["precision"], str) else "bf16"
        gemm = r["gemm_quant_mode"] if isinstance(r["gemm_quant_mode"], str) else prec
        moe = r["moe_quant_mode"] if isinstance(r["moe_quant_mode"], str) else prec
        E, k = c["num_experts"] or 0, c["experts_per_token"] or 0
        total, active = c["params_total_b"] * 1e9, (c["params_active_b"] or c["params_total_b"]) * 1e9
        x = (total - active) / (E - k) if E else 0
        att = c["attention_class"]
        dense_bytes = MODES[gemm][0]
        if moe.startswith("w4a") or moe == "int4_wo":
            dense_bytes = 2.0  # these checkpoints quantise the experts only
        window = c["sliding_window"] if c["sliding_layers"] else 0
        kv = c["kv_bytes_per_token_bf16"]
        out.append(dict(
            engine=r["backend"], device=DEVICES[r["system"]], dense=active - k * x, routed=E * x, experts=E, k=k,
            layers=c["num_hidden_layers"], hidden=c["hidden_size"],
            heads_dim=c["num_attention_heads"] * c["head_dim"], full=(c["full_attention_layers"] or c["num_hidden_layers"]),
            kv=(c["kv_bytes_per_token_asymptotic_bf16"] if window else kv), kv_heads=c["num_key_value_heads"],
            window_kv=(kv - c["kv_bytes_per_token_asymptotic_bf16"]) if window else 0, window=window or 0,
            top=c["index_topk"] or 0,
            state=(c["linear_or_mamba_layers"] or 0) * 4 * ((c["linear_num_value_heads"] or 0) * (c["linear_value_head_dim"] or 0)
                  * (c["linear_key_head_dim"] or 0) + (c["mamba_num_heads"] or 0) * (c["mamba_head_dim"] or 0) * (c["ssm_state_size"] or 0)),
            family="hybrid" if "ssm" in att else "mla" if "mla" in att else "moe" if E else "dense",
            gpus=int(gpus), dp=int(dp_of), ep=int(min(ep, gpus)),
            dense_bytes=dense_bytes, expert_bytes=MODES[moe][0], arithmetic=MODES[moe if E else gemm][1],
            batch=r["batch_size"] * dp, isl=r["isl"], osl=r["osl"],
            tpot=r["silicon_tpot_ms"], ttft=r["silicon_ttft_ms"], name=key(r["model_path"])))
    return pd.DataFrame(out)


def held(d):
    """Sequences that the memory of a row's accelerators holds at once, roughly: at 90 % of it, with 4 GiB for
    the engine, and a cache of 8 bits where the weights have no more (as these campaigns ran). The planner has a
    better rule (planner/resolve/src/memory.rs); here it tells which rows waited, and how many sequences ran."""
    tensor = d.gpus / d.dp
    weights = d.dense * d.dense_bytes / tensor + d.routed * d.expert_bytes / d.gpus
    shards = np.where(d.family == "mla", 1, np.minimum(tensor, d.kv_heads))
    ctx = d.isl + d.osl / 2
    kv = (ctx * d.kv + np.minimum(ctx, d.window) * d.window_kv) * np.where(d.arithmetic == "bf16", 1, 0.5) / shards
    room = np.array([USABLE[x[0]] for x in d.device]) * 0.9 * 2**30 - weights - 4 * 2**30
    return np.maximum(room / (kv + d.state / tensor) * d.dp, 1).values


def terms(d):
    """The terms of TPOT and of TTFT at peak speed, in ms: two matrices, a row of the data a row."""
    dev = np.array([list(x[1:]) for x in d.device], float)
    bw, link = dev[:, 0] * 1e6, dev[:, 4] * 1e6  # bytes per ms
    flops = np.select([d.arithmetic == "bf16", d.arithmetic == "fp8"], [dev[:, 1], dev[:, 2]], dev[:, 3]) * 1e9
    bf16 = dev[:, 1] * 1e9
    g, dp = d.gpus.values, d.dp.values
    B = np.minimum(d.batch.values.astype(float), held(d))
    t = g / dp
    moe = d.experts.values > 0
    frac = np.where(moe, 1 - (1 - d.k / np.maximum(d.experts, 1)) ** B, 0)
    dense = d.dense * d.dense_bytes / t / bw
    experts = d.routed * d.expert_bytes * frac / g / bw
    ctx = d.isl + d.osl / 2
    read = np.where(d.top > 0, np.minimum(ctx, d.top + 0.1 * ctx), ctx)
    shards = np.where(d.family == "mla", 1, np.minimum(t, d.kv_heads))
    mine = np.maximum(B / dp, 1)  # sequences of one rank of attention
    kv = mine * ((read * d.kv + np.minimum(ctx, d.window) * d.window_kv) / shards + 2 * d.state / t) / bw
    active = d.dense + d.routed * d.k / np.maximum(d.experts, 1)
    width = d.full * d.heads_dim
    attn = 4 * width  # flop per token and token of context
    compute = 2 * active * B / g / flops + attn * ctx * B / g / bf16
    prompt = (2 * active * d.isl / flops + attn * d.isl * np.minimum(d.isl, np.where(d.top > 0, d.top, 1e9)) / 2 / bf16) / g
    others = np.where(dp > HOST_RANKS, 0, B / (d.osl + LOCKSTEP))  # prompts of others that are read in a step
    kinds = np.where(d.top > 0, "sparse", d.family)
    layers = d.layers * 0.04 * np.array([KERNELS[x] / KERNELS["moe"] for x in kinds])
    many = (g > 1).astype(float)
    hops = many * d.layers * 0.02 * np.log2(np.maximum(g, 2)) ** 0.5
    # Bytes of a token over the link: two all-reduces a layer, or to its experts in 8 bits and back in 16.
    over = many * np.where(dp > 1, 1.5 * np.maximum(d.k, 2), 4) * d.layers * d.hidden * (1 - 1 / g) / link
    # Bytes of a token to memory and back between kernels: every rank has all of it but its heads.
    between = 2 * (d.layers * d.hidden * (6 + 4 * d.k) + 6 * width / t) / bw
    tokens = mine + others * d.isl / dp
    tpot = np.column_stack([dense, experts, kv, compute, others * prompt, layers, hops, over * tokens, mine * 0.02,
                            np.ones(len(d)), between * tokens])
    chunks = np.ceil(d.isl / 8192)
    weights = (d.dense * d.dense_bytes / t + d.routed * d.expert_bytes / g) / bw
    moved = (between + over) * d.isl
    ttft = np.column_stack([np.full(len(d), 30.0), prompt, weights * chunks, layers * 5, ((B - 1) * (prompt + moved) * 0.1) ** QUEUE,
                            np.zeros(len(d)), moved])
    return tpot, ttft


def keys(d):
    """The key of each level for each row; the model is known by its shape, not by its name."""
    shape = [f"{l}x{h}x{int(e)}" for l, h, e in zip(d.layers, d.hidden, d.experts)]
    device = [x[0] for x in d.device]
    blackwell = ["blackwell" if x in ("nvidia-b200", "nvidia-gb200", "nvidia-gb300") else "hopper" for x in device]
    model_device = [f"{m} {e} {v} {a}" for m, e, v, a in zip(shape, d.engine, device, d.arithmetic)]
    return {
        "engine": list(d.engine), "device": device, "family": list(d.family),
        "numbers": [f"{e} {b} {a}" for e, b, a in zip(d.engine, blackwell, d.arithmetic)],
        "spread": [f"{f} {'dp' if p > 1 else 'ep' if e > 1 else 'tp' if g > 1 else 'one'}" for f, p, e, g in zip(d.family, d.dp, d.ep, d.gpus)],
        "model": [f"{m} {e}" for m, e in zip(shape, d.engine)], "model_device": model_device,
        "setup": [f"{m} g{g} d{p} e{e}" for m, g, p, e in zip(model_device, d.gpus, d.dp, d.ep)],
    }


class Fit:
    """Most likely adjustments, by iteratively reweighted Gauss-Newton steps."""

    def __init__(self, start, bundles, sigma):
        self.start, self.bundles, self.sigma = start, bundles, sigma

    def design(self, ks, n):
        """(column -> list of (rows, terms)) as index arrays: which adjustment moves which term of which row."""
        cols = self.columns
        J = len(self.start)
        a = np.zeros((n, J, 1 + len(LEVELS)), int)  # adjustment index; -1 is none
        a[:, :, 0] = np.arange(J)
        bundle = np.zeros(J, int)
        for b, ts in enumerate(self.bundles):
            bundle[ts] = b
        for li, level in enumerate(LEVELS):
            base = np.array([cols.get((level, k), -1) for k in ks[level]])
            off = np.arange(J) if li < SHARED else bundle
            a[:, :, li + 1] = np.where(base[:, None] < 0, -1, base[:, None] + off[None, :])
        return a

    def fit(self, X, y, ks, weight=None, guess=None, steps=25):
        J = len(self.start)
        self.columns, width, sig = {}, J, [PRIOR["base"]] * J
        for li, level in enumerate(LEVELS):
            w = J if li < SHARED else len(self.bundles)
            for k in sorted(set(ks[level])):
                self.columns[(level, k)] = width
                width += w
                sig += [PRIOR[level]] * w
        self.theta = np.concatenate([self.start, np.zeros(width - J)])
        prior, prec = self.theta.copy(), 1 / np.array(sig) ** 2
        if guess is not None:  # only where the search begins: the optimum is the prior's and the rows'
            self.theta[:J] = guess.theta[:J]
            for (level, k), c in self.columns.items():
                w = J if LEVELS.index(level) < SHARED else len(self.bundles)
                g = guess.columns[(level, k)]
                self.theta[c:c + w] = guess.theta[g:g + w]
        a = self.design(ks, len(y))
        ly = np.log(y)
        rowi = np.repeat(np.arange(len(y)), J * a.shape[2])
        flat = a.reshape(-1)
        ok = flat >= 0
        w0 = np.ones(len(y)) if weight is None else weight
        for it in range(steps):
            p, share = self._eval(X, a)
            r = ly - np.log(p)
            w = w0 * 5 / (4 + (r / self.sigma) ** 2) / self.sigma ** 2  # Student-t, 4 degrees
            vals = np.repeat(share.reshape(-1), a.shape[2])
            Jm = sp.csr_matrix((vals[ok], (rowi[ok], flat[ok])), shape=(len(y), width))
            H = (Jm.T @ sp.diags(w) @ Jm).toarray() + np.diag(prec * 1.0)
            gvec = Jm.T @ (w * r) - prec * (self.theta - prior)
            step = np.linalg.solve(H, gvec)
            m = np.abs(step).max()
            self.theta += step * min(1, 0.7 / m) if m > 0 else 0
            if m < 3e-3:
                break
        return self

    def _eval(self, X, a):
        th = np.append(self.theta, 0.0)
        parts = X * np.exp(th[a].sum(axis=2))
        p = parts.sum(axis=1)
        return p, parts / p[:, None]

    def predict(self, X, ks):
        return self._eval(X, self.design(ks, len(X)))[0]

    def tier(self, ks):
        """0 the exact setup was measured; 1 the model on this device and engine; 2 else."""
        s = np.array([("setup", k) in self.columns for k in ks["setup"]])
        m = np.array([("model_device", k) in self.columns for k in ks["model_device"]])
        return np.where(s, 0, np.where(m, 1, 2))


def even(ks):
    """Setups measured often count less per row, so that one campaign does not set the shared constants."""
    c = pd.Series(ks["setup"])
    return np.sqrt(10 / c.groupby(c).transform("size").values)


def fit_tpot(X, y, ks, guess=None):
    return Fit(TPOT_START, TPOT_BUNDLES, 0.25).fit(X, y, ks, even(ks), guess)


def fit_ttft(X, y, ks, waited, guess=None):
    """Rows that waited for memory say next to nothing of the rest."""
    return Fit(TTFT_START, TTFT_BUNDLES, 0.3).fit(X, y, ks, even(ks) * np.where(waited, 1e-6, 1), guess)


def with_waits(d, ttft, tpot):
    """TTFT of all requests of a row: those that memory does not hold wait until others are done."""
    return ttft + np.maximum(d.batch / held(d) - 1, 0).values * (ttft + (d.osl.values - 1) * tpot)


def subset(ks, idx):
    return {l: [v[i] for i in idx] for l, v in ks.items()}


def loads(d):
    """Logs of the load: sequences, prompt, answer."""
    return np.log(d[["batch", "isl", "osl"]].values.astype(float))


def distance(d, tr, te, tier, setups):
    """How far the load of a left-out row is from the nearest that was seen: of its setup, or of any at all."""
    seen = loads(d.iloc[tr])
    box = lambda x, p: np.maximum(np.maximum(seen[x].min(0) - p, p - seen[x].max(0)), 0).sum()
    here, mine, out = pd.Series(setups[tr]).groupby(setups[tr]).indices, loads(d.iloc[te]), np.zeros(len(te))
    for n, p in enumerate(mine):
        if tier[n]:
            out[n] = box(slice(None), p)
            continue
        x = here[setups[te[n]]]
        # As `MeasuredSetup::loads`: the batches that were measured with each pair of prompt and answer.
        out[n] = min(np.abs(pair - p[1:]).sum() + max(b.min() - p[0], p[0] - b.max(), 0)
                     for pair in np.unique(seen[x][:, 1:], axis=0)
                     for b in [seen[x][(seen[x][:, 1:] == pair).all(1), 0]])
    return out


def cross(d, splits):
    """Predictions of left-out rows, by (seen, left out): rows, both times, tiers and distances, end to end."""
    tpot, ttft = terms(d)
    ks = keys(d)
    setups = np.array(ks["setup"])
    waited = d.batch.values > 0.9 * held(d)
    whole = fit_tpot(tpot, d.tpot.values, ks)
    ttft[:, 5] = whole.predict(tpot, ks)
    whole_ttft = fit_ttft(ttft, d.ttft.values, ks, waited)
    parts = []
    for tr, te in splits:
        of, on = subset(ks, tr), subset(ks, te)
        m = fit_tpot(tpot[tr], d.tpot.values[tr], of, whole)
        X = ttft.copy()
        X[tr, 5] = m.predict(tpot[tr], of)
        X[te, 5] = m.predict(tpot[te], on)
        first = fit_ttft(X[tr], d.ttft.values[tr], of, waited[tr], whole_ttft).predict(X[te], on)
        tier = m.tier(on)
        parts.append((te, X[te, 5], with_waits(d.iloc[te], first, X[te, 5]), tier, distance(d, tr, te, tier, setups)))
    rows_, a, b, tier, far = (np.concatenate(x) for x in zip(*parts))
    return {"rows": rows_, "tpot": a, "ttft": b, "tier": tier, "far": far}


def by_key(key_):
    """Each value of a key left out in turn."""
    return [(np.where(key_ != f)[0], np.where(key_ == f)[0]) for f in sorted(set(key_))]


def splits_of(d):
    """What is left out: name, what a reader calls it, (seen, left out) of each fit."""
    rng = np.random.default_rng(7)
    model = (d.layers.astype(str) + "x" + d.hidden.astype(str)).values
    device = np.array([x[0] for x in d.device])
    # The campaign appears under several encodings: keep copies together.
    copies = pd.factorize(d.tpot.round(6).astype(str) + d.ttft.round(3).astype(str))[0]
    places = pd.factorize(pd.Series([f"{m} {v} {g}" for m, v, g in zip(model, device, d.gpus)]))[0]
    setups = pd.Series(keys(d)["setup"])
    def far(column, cut):
        most = d[column].groupby(setups.values).transform(cut).values
        out = (d[column].values >= most) & (d[column].groupby(setups.values).transform("nunique").values > 1)
        return [(np.where(~out)[0], np.where(out)[0])]
    pairs = [(np.where((model != m) & (device != v))[0], np.where((model == m) & (device == v))[0])
             for m in sorted(set(model)) for v in sorted(set(device[model == m]))]
    return {
        "measurement": ("a tenth of the measurements", by_key(rng.integers(0, 10, copies.max() + 1)[copies])),
        "prompt": ("the longest prompts of each setup", far("isl", "max")),
        "answer": ("the longest answers of each setup", far("osl", "max")),
        "batch": ("the larger half of the batches of each setup", far("batch", lambda x: np.sqrt(x.min() * x.max()))),
        "setup": ("a model on some number of one accelerator", by_key(rng.permutation(places.max() + 1)[places] % 12)),
        "model": ("a model", by_key(model)),
        "accelerator": ("an accelerator", by_key(device)),
        "engine": ("an engine", by_key(d.engine.values)),
        "both": ("a model and an accelerator", pairs),
    }


def quantiles(r, groups=None, floor=0.05):
    """Where 86 % of the log errors lie, zero always inside; every group counts the same, where groups are given."""
    w = np.ones(len(r)) if groups is None else 1 / pd.Series(groups).groupby(groups).transform("size").values
    order = np.argsort(r)
    share = (np.cumsum(w[order]) - w[order] / 2) / w.sum()
    low, high = np.interp([0.07, 0.93], share, r[order])
    return [round(float(min(low, -floor)), 3), round(float(max(high, floor)), 3)]


def spreads(d, crossed, which):
    """Ranges by tier, of the exact setups of one model on one engine and device, and what distance adds."""
    if which == "ttft":  # what waits for memory is as uncertain as memory, which the range says on its own
        sure = d.batch.values < ROOM_SURE * held(d)
        crossed = {kind: {part: v[sure[x["rows"]]] for part, v in x.items()} for kind, x in crossed.items()}
    k, names, device = np.array(keys(d)["model_device"]), d.layers.astype(str).values, np.array([x[0] for x in d.device])
    r = {kind: np.log(d[which].values[x["rows"]] / x[which]) for kind, x in crossed.items()}
    of = lambda kind, tier: crossed[kind]["tier"] == tier
    seen = of("measurement", 0)
    at = k[crossed["measurement"]["rows"]]
    by = {x: quantiles(r["measurement"][seen & (at == x)]) for x in sorted(set(at)) if (seen & (at == x)).sum() >= 12}
    both = crossed["both"]["rows"]
    spread = {"measured": quantiles(r["measurement"][seen]), "near": quantiles(r["setup"][of("setup", 1)]),
              "fitted": quantiles(r["model"], names[crossed["model"]["rows"]]),
              "roofline": quantiles(r["both"], np.char.add(names[both].astype(str), device[both]))}
    spread["fitted"] = [min(spread["fitted"][0], spread["near"][0]), max(spread["fitted"][1], spread["near"][1])]
    spread["roofline"] = [min(spread["roofline"][0], spread["fitted"][0]), max(spread["roofline"][1], spread["fitted"][1])]
    for step in np.arange(0.02, 1.0, 0.01):  # per e-fold: 84 % of each kind of far rows are to be inside
        spread["beyond"] = round(float(step), 3)
        if all(inside(d, crossed[kind], spread, by, which)[0][crossed[kind]["far"] > 0].mean() >= 0.84 for kind in ("prompt", "answer", "batch")):
            break
    return spread, by


def inside(d, x, spread, by, which):
    """Which left-out rows lie in the range that the constants give them, and how wide it is; as `Anchor` says it."""
    k = np.array(keys(d)["model_device"])[x["rows"]]
    base = np.array([by.get(k_, spread["measured"]) if t == 0 else spread["near" if t == 1 else "fitted"] for k_, t in zip(k, x["tier"])])
    wide = np.array(spread["near"])
    strange = ((x["tier"] == 0) & (x["far"] > NEAR_LOAD))[:, None]
    base = np.where(strange, np.column_stack([np.minimum(base[:, 0], wide[0]), np.maximum(base[:, 1], wide[1])]), base)
    r = np.log(d[which].values[x["rows"]] / x[which])
    more = spread["beyond"] * x["far"]
    return (base[:, 0] - more <= r) & (r <= base[:, 1] + more), np.exp(base[:, 1] - base[:, 0] + 2 * more)


def table(d, crossed, spread, by, labels):
    """The errors of left-out rows, as a page shows them."""
    lines = ["| left out | rows | TPOT median | TPOT p90 | in range | high over low | TTFT median | TTFT p90 | in range | high over low |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for kind, x in crossed.items():
        cells = []
        for which in ("tpot", "ttft"):
            s = spread[which] if kind not in ("both", "accelerator", "engine") else spread[which] | {t: spread[which]["roofline"] for t in ("near", "fitted")}
            e = np.abs(x[which] / d[which].values[x["rows"]] - 1)
            held_, width = inside(d, x, s, by[which], which)
            cells += [f"{np.median(e):.1%}", f"{np.quantile(e, 0.9):.1%}", f"{held_.mean():.0%}", f"{np.median(width):.2f}"]
        lines.append(f"| {labels[kind]} | {len(x['rows'])} | " + " | ".join(cells).replace("%", " %") + " |")
    return "\n".join(lines) + "\n"


def document(d, spread, by):
    tpot, ttft = terms(d)
    ks = keys(d)
    a = fit_tpot(tpot, d.tpot.values, ks)
    ttft[:, 5] = a.predict(tpot, ks)
    b = fit_ttft(ttft, d.ttft.values, ks, d.batch.values > 0.9 * held(d))
    cut = lambda f, level, k, n: [round(float(x), 3) for x in f.theta[f.columns[(level, k)]:][:n]]
    both = lambda level, k, n, m: {"tpot": cut(a, level, k, n), "ttft": cut(b, level, k, m)}
    names = {"engine": ["engine"], "device": ["device"], "family": ["family"],
             "numbers": ["engine", "generation", "arithmetic"], "spread": ["family", "spread"]}
    shared = [dict(zip(names[level], k.split())) | both(level, k, len(TPOT_TERMS), len(TTFT_TERMS))
              for level in LEVELS[:SHARED] for k in sorted(set(ks[level]))]
    deep = lambda level, k: both(level, k, len(TPOT_BUNDLES), len(TTFT_BUNDLES))
    models = []
    for shape, rows_ in d.groupby(pd.Series(ks["model"]).str.split().str[0].values, sort=True):
        model = {"name": rows_.name.iloc[0], "layers": int(rows_.layers.iloc[0]), "hidden": int(rows_.hidden.iloc[0]),
                 "experts": int(rows_.experts.iloc[0]), "engines": []}
        for engine, of in rows_.groupby("engine", sort=True):
            entry = {"engine": engine} | deep("model", f"{shape} {engine}") | {"accelerators": []}
            for (device, arithmetic), on in of.groupby([of.device.str[0], "arithmetic"], sort=True):
                k = f"{shape} {engine} {device} {arithmetic}"
                acc = {"device": device, "arithmetic": arithmetic} | deep("model_device", k)
                acc |= {f"{which}_spread": by[which][k] for which in ("tpot", "ttft") if k in by[which]}
                acc["setups"] = [
                    {"accelerators": int(g), "data": int(p), "expert": int(e),
                     "loads": [[int(i), int(o), int(y.batch.min()), int(y.batch.max())] for (i, o), y in x.groupby(["isl", "osl"], sort=True)]}
                    | deep("setup", f"{k} g{g} d{p} e{e}")
                    for (g, p, e), x in on.groupby(["gpus", "dp", "ep"], sort=True)]
                entry["accelerators"].append(acc)
            model["engines"].append(entry)
        models.append(model)
    logs = lambda f, n: [round(float(x), 3) for x in f.theta[:n]]
    extent = lambda column: [int(d[column].min()), int(d[column].max())]
    return {
        "version": 1, "date": DATE, "sources": SOURCES, "lockstep_tokens": LOCKSTEP, "near_load": round(float(NEAR_LOAD), 3),
        "extent": {"batch": extent("batch"), "input": extent("isl"), "output": extent("osl")},
        "tpot": {"terms": TPOT_TERMS, "factors": logs(a, len(TPOT_TERMS)), "spread": spread["tpot"]},
        "ttft": {"terms": TTFT_TERMS, "factors": logs(b, len(TTFT_TERMS)), "spread": spread["ttft"]},
        "adjustments": shared, "models": models,
    }


def dump(doc):
    """JSON with short lists on one line, so that a diff is a diff of numbers."""
    import re
    text = json.dumps(doc, indent=1)
    return re.sub(r"\[\s+(-?[\d\"][^\[\]{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m.group(1)) + "]", text) + "\n"


def in_sample(d):
    """Errors of the rows that the constants were fitted to, all of them."""
    tpot, ttft = terms(d)
    ks = keys(d)
    a = fit_tpot(tpot, d.tpot.values, ks)
    p = ttft[:, 5] = a.predict(tpot, ks)
    q = with_waits(d, fit_ttft(ttft, d.ttft.values, ks, d.batch.values > 0.9 * held(d)).predict(ttft, ks), p)
    return {"rows": np.arange(len(d)), "tpot": p, "ttft": q, "tier": a.tier(ks), "far": np.zeros(len(d))}


if __name__ == "__main__":
    d = rows(sys.argv[1], models(sys.argv[2]))
    splits = splits_of(d)
    crossed = {kind: cross(d, of) for kind, (_, of) in splits.items()}
    found = {which: spreads(d, crossed, which) for which in ("tpot", "ttft")}
    spread, by = ({which: found[which][n] for which in found} for n in (0, 1))
    labels = {kind: label for kind, (label, _) in splits.items()} | {"none": "nothing: in-sample"}
    page = table(d, {"none": in_sample(d)} | crossed, spread, by, labels)
    print(page)
    if "--write" in sys.argv:
        target = Path(__file__).parents[3] / "schemas/catalog/throughput.json"
        target.write_text(dump(document(d, spread, by)))
        print(target, target.stat().st_size, "bytes")
        (Path(__file__).parent / "errors.md").write_text(page)
