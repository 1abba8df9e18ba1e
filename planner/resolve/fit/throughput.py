"""Fit the throughput model: measured rows in, `schemas/catalog/throughput.json` out.

    python -m venv v && v/bin/pip install numpy pandas scipy
    v/bin/python planner/resolve/fit/throughput.py ROWS.csv MODELS.json [--write]

The formula is that of planner/resolve/src/throughput.rs: a time is a sum of terms, each what the
hardware would need at its peak, times a factor. The log of a factor is the sum of adjustments,
one for each level of `LEVELS` (engine, device, family, ... exact setup) whose key applies. All
adjustments are found together, as the most likely ones under Gaussian priors of width `PRIOR`
(so a level that few rows speak for stays near zero) and a Student-t error of the log.
No answer of a row is stored; ranges are quantiles of the errors in cross-validation.
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
TPOT_TERMS = ["dense", "experts", "kv", "compute", "prefill", "layers", "link", "traffic", "host", "step"]
TTFT_TERMS = ["start", "prefill", "weights", "layers", "queue", "step"]
# Deeper levels move terms only in three bundles: what a step costs anyway, what a sequence adds, prefill.
TPOT_BUNDLES = [[0, 1, 5, 6, 9], [2, 3, 7, 8], [4]]
TTFT_BUNDLES = [[0, 2, 3, 5], [1], [4]]
# Physical first guesses of the factors (logs), and how far the data may pull them.
TPOT_START = np.log([1.3, 1.4, 1.5, 2.0, 3.0, 1.0, 1.0, 1.5, 0.3, 1.0])
TTFT_START = np.log([1.0, 3.0, 1.5, 1.0, 1.0, 6.0])
LEVELS = ["engine", "device", "family", "numbers", "spread", "model", "model_device", "setup"]
LOCKSTEP = 50  # tokens: requests that start together meet fewer foreign prompts
QUEUE = 0.7  # waits grow less than the prompts before: some arrive while others decode
SHARED = 5  # levels with an adjustment per term; the rest adjust bundles
PRIOR = {"base": 0.5, "engine": 0.15, "device": 0.07, "family": 0.2, "numbers": 0.06, "spread": 0.1, "model": 0.2,
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


def terms(d):
    """The terms of TPOT and of TTFT at peak speed, in ms: two matrices, a row of the data a row."""
    dev = np.array([list(x[1:]) for x in d.device], float)
    bw, link = dev[:, 0] * 1e6, dev[:, 4] * 1e6  # bytes per ms
    flops = np.select([d.arithmetic == "bf16", d.arithmetic == "fp8"], [dev[:, 1], dev[:, 2]], dev[:, 3]) * 1e9
    bf16 = dev[:, 1] * 1e9
    g, dp, B = d.gpus.values, d.dp.values, d.batch.values.astype(float)
    t = g / dp
    moe = d.experts.values > 0
    frac = np.where(moe, 1 - (1 - d.k / np.maximum(d.experts, 1)) ** B, 0)
    dense = d.dense * d.dense_bytes / t / bw
    experts = d.routed * d.expert_bytes * frac / g / bw
    ctx = d.isl + d.osl / 2
    read = np.where(d.top > 0, np.minimum(ctx, d.top + 0.1 * ctx), ctx)
    shards = np.where(d.family == "mla", 1, np.minimum(t, d.kv_heads))
    kv = np.maximum(B / dp, 1) * ((read * d.kv + np.minimum(ctx, d.window) * d.window_kv) / shards + 2 * d.state / t) / bw
    active = d.dense + d.routed * d.k / np.maximum(d.experts, 1)
    attn = 2 * 2 * d.full * d.heads_dim  # flop per token and token of context
    compute = 2 * active * B / g / flops + attn * ctx * B / g / bf16
    prompt = (2 * active * d.isl / flops + attn * d.isl * np.minimum(d.isl, np.where(d.top > 0, d.top, 1e9)) / 2 / bf16) / g
    prefill = B / (d.osl + LOCKSTEP) * prompt
    layers = d.layers * 0.04
    many = (g > 1).astype(float)
    hops = many * d.layers * 0.02 * np.log2(np.maximum(g, 2)) ** 0.5
    traffic = many * d.layers * 4 * B * d.hidden * (1 - 1 / g) / link / np.minimum(t, 8) ** 0
    host = B * 0.02
    tpot = np.column_stack([dense, experts, kv, compute, prefill, layers, hops, traffic, host, np.ones(len(d))])
    chunks = np.ceil(d.isl / 8192)
    weights = (d.dense * d.dense_bytes / t + d.routed * d.expert_bytes / g) / bw
    ttft = np.column_stack([np.full(len(d), 30.0), prompt, weights * chunks, d.layers * 0.2, ((B - 1) * prompt * 0.1) ** QUEUE, np.zeros(len(d))])
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
    return Fit(TPOT_START, TPOT_BUNDLES, 0.15).fit(X, y, ks, even(ks), guess)


def fit_ttft(X, y, ks, guess=None):
    return Fit(TTFT_START, TTFT_BUNDLES, 0.3).fit(X, y, ks, even(ks), guess)


def subset(ks, idx):
    return {l: [v[i] for i in idx] for l, v in ks.items()}


def cross(d, folds):
    """Out-of-fold predictions of both times, and tiers."""
    tpot, ttft = terms(d)
    ks = keys(d)
    whole = fit_tpot(tpot, d.tpot.values, ks)
    ttft[:, 5] = whole.predict(tpot, ks)
    whole_ttft = fit_ttft(ttft, d.ttft.values, ks)
    out = {"tpot": np.zeros(len(d)), "ttft": np.zeros(len(d))}
    tier = np.zeros(len(d), int)
    for f in sorted(set(folds)):
        tr, te = np.where(folds != f)[0], np.where(folds == f)[0]
        of, on = subset(ks, tr), subset(ks, te)
        m = fit_tpot(tpot[tr], d.tpot.values[tr], of, whole)
        X = ttft.copy()
        X[:, 5] = m.predict(tpot, ks)
        out["tpot"][te] = X[te, 5]
        out["ttft"][te] = fit_ttft(X[tr], d.ttft.values[tr], of, whole_ttft).predict(X[te], on)
        tier[te] = m.tier(on)
    return out, tier


def report(kind, d, pred, tier, spread, by, which):
    """Errors of left-out rows, and how many lie in the range that the constants give them."""
    measured, k = d[which].values, keys(d)["model_device"]
    e = np.abs(pred / measured - 1)
    r = np.log(measured / pred)
    tiers = ["measured", "near", "fitted"]
    lo, hi = np.array([by.get(x, spread["measured"]) if t == 0 else spread[tiers[t]] for x, t in zip(k, tier)]).T
    inside = (lo <= r) & (r <= hi)
    for name, i in [("all", tier >= 0)] + [(n, tier == t) for t, n in enumerate(tiers)]:
        if i.sum() > 10:
            print(f"{which} leave out {kind:12s} {name:9s} n {i.sum():5d} median {np.median(e[i]):.3f} p90 {np.quantile(e[i], .9):.3f}"
                  f" within {inside[i].mean():.3f} high/low {np.median(np.exp(hi - lo)[i]):.2f} bias {np.median(r[i]):+.3f}", flush=True)


def folds_of(d, kind):
    rng = np.random.default_rng(7)
    if kind == "random":
        return rng.integers(0, 10, len(d))
    if kind == "measurement":  # the campaign appears under several encodings: keep copies together
        g = pd.factorize(d.tpot.round(6).astype(str) + d.ttft.round(3).astype(str))[0]
        return rng.integers(0, 10, g.max() + 1)[g]
    if kind == "setup":
        g = pd.factorize(pd.Series([f"{n} {v[0]} {x}" for n, v, x in zip(d.layers.astype(str) + "x" + d.hidden.astype(str), d.device, d.gpus)]))[0]
        return rng.permutation(g.max() + 1)[g] % 12
    if kind == "model":
        return pd.factorize(d.layers.astype(str) + "x" + d.hidden.astype(str))[0]


def quantiles(r, floor=0.05):
    """Where 84 % of the log errors lie, zero always inside."""
    return [round(float(min(np.quantile(r, 0.07), -floor)), 3), round(float(max(np.quantile(r, 0.93), floor)), 3)]


def spreads(d, crossed, which):
    """Ranges by tier, and of the exact setups of one model on one engine and device by that."""
    r = {kind: np.log(d[which].values / pred[which]) for kind, (pred, _) in crossed.items()}
    by, k = {}, np.array(keys(d)["model_device"])
    seen = crossed["measurement"][1] == 0
    for x in sorted(set(k)):
        if (seen & (k == x)).sum() >= 12:
            by[x] = quantiles(r["measurement"][seen & (k == x)])
    # Only a few models could be left out, so a new one may be stranger than they were.
    fitted = [round((1.2 if which == "tpot" else 1.1) * x, 3) for x in quantiles(r["model"])]
    return {"measured": quantiles(r["measurement"][seen]), "near": quantiles(r["setup"][crossed["setup"][1] == 1]),
            "fitted": fitted, "roofline": [round(1.4 * x, 3) for x in fitted]}, by


def document(d, crossed):
    tpot, ttft = terms(d)
    ks = keys(d)
    a = fit_tpot(tpot, d.tpot.values, ks)
    ttft[:, 5] = a.predict(tpot, ks)
    b = fit_ttft(ttft, d.ttft.values, ks)
    sa, by_a = spreads(d, crossed, "tpot")
    sb, by_b = spreads(d, crossed, "ttft")
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
                acc |= {"tpot_spread": by_a[k]} if k in by_a else {}
                acc |= {"ttft_spread": by_b[k]} if k in by_b else {}
                acc["setups"] = [
                    {"accelerators": int(g), "data": int(p), "expert": int(e),
                     "batch": [int(x.batch.min()), int(x.batch.max())]} | deep("setup", f"{k} g{g} d{p} e{e}")
                    for (g, p, e), x in on.groupby(["gpus", "dp", "ep"], sort=True)]
                entry["accelerators"].append(acc)
            model["engines"].append(entry)
        models.append(model)
    logs = lambda f, n: [round(float(x), 3) for x in f.theta[:n]]
    return {
        "version": 1, "date": DATE, "sources": SOURCES, "lockstep_tokens": LOCKSTEP,
        "tpot": {"terms": TPOT_TERMS, "factors": logs(a, len(TPOT_TERMS)), "spread": sa},
        "ttft": {"terms": TTFT_TERMS, "factors": logs(b, len(TTFT_TERMS)), "spread": sb},
        "adjustments": shared, "models": models,
    }


def dump(doc):
    """JSON with short lists on one line, so that a diff is a diff of numbers."""
    import re
    text = json.dumps(doc, indent=1)
    return re.sub(r"\[\s+(-?[\d\"][^\[\]{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m.group(1)) + "]", text) + "\n"


if __name__ == "__main__":
    d = rows(sys.argv[1], models(sys.argv[2]))
    crossed = {kind: cross(d, folds_of(d, kind)) for kind in ("random", "measurement", "setup", "model")}
    for which in ("tpot", "ttft"):
        spread, by = spreads(d, crossed, which)
        for kind, (pred, tier) in crossed.items():
            report(kind, d, pred[which], tier, spread, by, which)
    if "--write" in sys.argv:
        target = Path(__file__).parents[3] / "schemas/catalog/throughput.json"
        target.write_text(dump(document(d, crossed)))
        print(target, target.stat().st_size, "bytes")
