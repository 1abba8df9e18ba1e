#!/usr/bin/env python3
"""Write the catalog from the tables of facts, one row per line, the same bytes each time.

    python3 schemas/catalog/build/from_facts.py ../../shared/facts > schemas/catalog/catalog.json

Reads shapes.csv and prices.csv of that folder. Says on
stderr what it left out and why. The rules are those of sizing.md, sections 1 and 2:

- usable memory and speeds are those of one device; an Ironwood chip has two;
- a price counts only where the hardware stands and where the surface sells it so;
- of several prices the surest wins, then the newest; Spot prices change monthly and are never
  more than medium;
- an amount that would need a host price nobody lists stays out: unpriced, never guessed.
"""

import csv
import json
import re
import sys
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path

DATE = "2026-11-20"

SOURCES = {
    # Hardware.
    "gpu-machines": ("GPU machine types: host sizes, zones, GKE labels and Vertex enums, from SkyPilot's catalog, gpuhunt, the Cloud Billing export and Google's samples", "skypilot-org/skypilot-catalog:catalogs/v9/gcp/vms.csv@2c3d7ea7; dstackai/gpuhunt:gcp.py@3584151; Cyclenerd/google-cloud-pricing-cost-calculator:build/gcp.yml@dac3128; GoogleCloudPlatform/kubernetes-engine-samples@2b50365; GoogleCloudPlatform/vertex-ai-samples@cc0d791", "2026-08"),
    "tpu-slices": ("TPU slices: topologies and hosts from xpk and Google's samples, zones from SkyPilot's catalog", "AI-Hypercomputer/xpk@367c838; GoogleCloudPlatform/kubernetes-engine-samples@2b50365; skypilot-org/skypilot-catalog:catalogs/v9/gcp/vms.csv@2c3d7ea7", "2026-06-25"),
    "tpu-zones": ("Cloud TPU documentation, regions and zones", "https://docs.cloud.google.com/tpu/docs/regions-zones", "2026"),
    "grace-machines": ("A4X machine types; vCPUs and memory of the Arm hosts are from memory", "GoogleCloudPlatform/cluster-toolkit:examples/machine-learning/a4x-maxgpu-4g-metal@1047080; AI-Hypercomputer/gpu-recipes@2e1fd5e; dstackai/gpuhunt:gcp.py@3584151", "2026-06-25"),
    "g4-priced-regions": ("Regions with a G4 price in the Cloud Billing Catalog; no list of G4 zones is known", "Cyclenerd/google-cloud-pricing-cost-calculator:pricing.yml@fd66b26", "2026-07-30"),
    "run-gpu": ("Cloud Run documentation, GPU support (types, least CPU and memory, regions, driver versions)", "https://docs.cloud.google.com/run/docs/configuring/workerpools/gpu", "2026-11"),
    "hf-hardware": ("Inference Endpoints documentation, hardware on Google Cloud and its one region; host sizes are those of the Google machine with the same accelerators, as Hugging Face names none", "huggingface/hf-endpoints-documentation:pricing.md", "2026-08-20"),
    "data-sheets": ("Vendors' data sheets: memory, speed, links", "https://www.nvidia.com/en-us/data-center/ and https://docs.cloud.google.com/tpu/docs", "2026"),
    "engine-logs": ("Memory totals in serving engines' start-up logs: H100 79.19, A100 79.15 and 39.39, H200 139.72, L4-class 22.03, RTX PRO 6000 94.97, TPU v5e 15.75, v6e 31.24, v5p 95.74, Ironwood 94.75 a device (GiB)", "https://github.com/llm-d-incubation/llm-d-planner/pull/205 and vLLM issue logs", "2026-04-22"),
    "memory-estimates": ("Usable memory estimated from driver figures and AIConfigurator's memory_capacity, not measured", "ai-dynamo/aiconfigurator system files; nvidia-smi totals", "2026"),
    # Sales.
    "on-demand-rules": ("What Compute Engine sells on demand: gpuhunt leaves out a4, a4x, a3-ultragpu and a3-highgpu with fewer than 8 GPUs", "dstackai/gpuhunt:gcp.py@3584151", "2026-08-19"),
    "vertex-samples": ("Machine types that Google's Vertex AI samples deploy; DWS flex-start there is for training", "GoogleCloudPlatform/vertex-ai-samples@cc0d791", "2026-08-19"),
    # Prices.
    "billing-catalog": ("Cloud Billing Catalog, as exported by Cyclenerd", "Cyclenerd/google-cloud-pricing-cost-calculator:pricing.yml@fd66b26", "2026-07-30"),
    "gpu-price-page": ("Google's GPU and VM price pages, as transcribed in public code", "https://cloud.google.com/compute/gpus-pricing", "2026-09-07"),
    "tpu-price-page": ("Google's TPU price page, as transcribed in public code", "https://cloud.google.com/tpu/pricing", "2026-09-07"),
    "gke-price-page": ("Google's GKE price page, as transcribed in public code", "https://cloud.google.com/kubernetes-engine/pricing", "2026-09-07"),
    "list-prices": ("Cloud Billing Catalog, H200 by region, without the bundled local SSD", "https://huggingface.co/datasets/tanod/cloud-gpu-list-prices", "2026-10-13"),
    "silybench": ("Cloud Billing SKUs of a3-highgpu-1g, without the bundled local SSD", "tgarg01/silybench-data:derived/csv/gpu_prices.csv", "2026-09-26"),
    "g4-fraction-skus": ("Fractional G4 SKUs; Google does not price them by scaling the whole GPU", "sc-crawler test fixture", "2026-09"),
    "g4-fraction-scaled": ("whole-GPU G4 prices scaled down; where Google's own SKU of the fraction is known it is 15 % dearer", "Cyclenerd/google-cloud-pricing-cost-calculator:pricing.yml@fd66b26", "2026-07-30"),
    "skypilot": ("SkyPilot's catalog, TPU chip-hours and Spot (its on-demand GPU column is not used)", "skypilot-org/skypilot-catalog:catalogs/v9/gcp/vms.csv@2c3d7ea7", "2026-09"),
    "n1-sum": ("the n1 host's price in the Cloud Billing Catalog plus its accelerators' in SkyPilot's catalog", "Cyclenerd/google-cloud-pricing-cost-calculator:pricing.yml@fd66b26 + skypilot-org/skypilot-catalog:catalogs/v9/gcp/vms.csv@2c3d7ea7", "2026-07-30"),
    "vertex-rule": ("1.15 x the Compute Engine price without bundled local SSD, the rule behind Vertex AI's published prices of n1-standard-4 and a3-highgpu-8g", "Cyclenerd/google-cloud-pricing-cost-calculator:pricing.yml@fd66b26 x 1.15", "2026-07-30"),
    "vertex-rule-tpu": ("1.15 x the TPU chip-hour; that the rule of 1.15 holds for TPUs is not known", "https://cloud.google.com/tpu/pricing x 1.15", "2026-09-07"),
    "run-prices": ("Cloud Run list prices, instance-based billing, transcribed from the Cloud Billing Catalog", "https://cloud.google.com/run/pricing", "2026-08"),
    "hf-prices": ("Inference Endpoints documentation, prices on Google Cloud", "huggingface/hf-endpoints-documentation:pricing.md@6b7307a", "2026-05-19"),
    "storage-page": ("Cloud Storage price page, stored copy; US prices", "https://cloud.google.com/storage/pricing", "2026"),
    "rapid-cache-page": ("Cloud Storage price page as API Evangelist read it; Rapid Cache, as it calls Anywhere Cache by now; US prices", "api-evangelist/gcp-cloud-storage:plans/gcp-cloud-storage-plans-pricing.yml@013caa2", "2026-09-20"),
    "from-memory": ("Remembered from Google's network price page, in no source at hand", "https://cloud.google.com/vpc/network-pricing", "2026"),
}

# The facts' word: name, aliases, (link, GB/s of one device), source of the usable memory.
# PCI Express counts both directions, as NVLink figures do; L4 hosts give 8 or 16 lanes.
ACCELERATORS = {
    "T4": ("nvidia-t4", ["T4", "nvidia-tesla-t4", "NVIDIA_TESLA_T4"], ("pcie", 32), "memory-estimates"),
    "V100": ("nvidia-v100", ["V100", "nvidia-tesla-v100", "NVIDIA_TESLA_V100", "V100-SXM2"], ("nvlink", 300), "memory-estimates"),
    "L4": ("nvidia-l4", ["L4", "NVIDIA_L4"], ("pcie", 32), "engine-logs"),
    "RTXPRO6000": ("nvidia-rtx-pro-6000", ["RTXPRO6000", "RTX-PRO-6000", "RTX_PRO_6000", "NVIDIA_RTX_PRO_6000"], ("pcie", 128), "engine-logs"),
    "A100-40": ("nvidia-a100-40gb", ["A100", "A100-40", "A100-40GB", "nvidia-tesla-a100", "NVIDIA_TESLA_A100"], ("nvlink", 600), "engine-logs"),
    "A100-80": ("nvidia-a100-80gb", ["A100-80", "A100-80GB", "NVIDIA_A100_80GB"], ("nvlink", 600), "engine-logs"),
    "H100": ("nvidia-h100-80gb", ["H100", "H100-80GB", "nvidia-h100", "NVIDIA_H100_80GB"], ("nvlink", 900), "engine-logs"),
    "H100M": ("nvidia-h100-mega-80gb", ["H100M", "H100-MEGA", "H100-MEGA-80GB", "nvidia-h100-mega", "NVIDIA_H100_MEGA_80GB"], ("nvlink", 900), "engine-logs"),
    "H200": ("nvidia-h200-141gb", ["H200", "H200-141GB", "nvidia-h200", "NVIDIA_H200_141GB"], ("nvlink", 900), "engine-logs"),
    "B200": ("nvidia-b200", ["B200", "NVIDIA_B200"], ("nvlink", 1800), "memory-estimates"),
    "GB200": ("nvidia-gb200", ["GB200", "NVIDIA_GB200"], ("nvlink", 1800), "memory-estimates"),
    "GB300": ("nvidia-gb300", ["GB300"], ("nvlink", 1800), "memory-estimates"),
    "v5e": ("tpu-v5e", ["v5e", "tpu-v5-lite-podslice", "v5litepod", "tpu-v5-lite", "ct5lp", "TPU_V5_LITEPOD"], ("ici", 200), "engine-logs"),
    "v5p": ("tpu-v5p", ["v5p", "tpu-v5p-slice", "ct5p"], ("ici", 600), "engine-logs"),
    "v6e": ("tpu-v6e", ["v6e", "tpu-v6e-slice", "ct6e", "trillium"], ("ici", 448), "engine-logs"),
    "v7x": ("tpu7x", ["v7x", "tpu-v7x", "TPU_7x", "ironwood"], ("ici", 600), "engine-logs"),
}
DEVICES = {"v7x": 2}
# The data sheet says 95 GB, but the limit in the log is 95.74 GiB: the chip has 96 GiB.
NOMINAL_GIB = {"v5p": 96}
TOO_OLD = {"P100", "P4"}  # no current engine runs on them

OPTIONS = {
    "on_demand": "on_demand",
    "spot": "spot",
    "dws_flex_start": "flex_start",
    "dws_calendar": "calendar",
    "cud_1y": "commitment_1y",
    "cud_3y": "commitment_3y",
}
OPTION_ORDER = list(OPTIONS.values())
NOT_ON_DEMAND = re.compile(r"a4-|a4x-|a3-ultragpu-|a3-highgpu-[124]g")
# Cloud Run's host sizes: accelerator, vCPUs, least and most GiB.
CLOUD_RUN_HOSTS = [("L4", 4, 16, 16), ("L4", 6, 16, 24), ("L4", 8, 16, 32), ("RTXPRO6000", 20, 80, 80)]
HUGGING_FACE_REGION = "us-east4"
# Anywhere Cache, US, by the page of "rapid-cache-page"; the facts know its storage alone, from an older copy.
RAPID_CACHE = [("anywhere_cache_gib", "0.0001233"), ("anywhere_cache_ingest_gib", "0.0032"), ("anywhere_cache_read_gib", "0.0006")]
RANK = {"high": 0, "medium": 1, "low": 2}

left_out = Counter()


def main(facts):
    shapes_csv = read(facts / "shapes.csv")
    prices_csv = read(facts / "prices.csv")
    g4_regions = sorted({p["region"] for p in prices_csv if p["shape"] == "g4-standard-48"})
    machines = [s for s in shapes_csv if s["accelerator"] not in TOO_OLD and s["machine_type"] != "(Cloud Run)"]
    left_out["shapes with P100 or P4: no current engine runs on them"] = sum(s["accelerator"] in TOO_OLD for s in shapes_csv)

    places = place_lists(machines, g4_regions)
    shapes, names = shape_rows(machines, places)
    prices = Prices(shapes, places)
    offers = offer_rows(machines, names, prices_csv, prices)
    for offer in offers:
        prices.sell(offer)
    machine_prices(prices_csv, names, machines, prices)
    service_prices(prices_csv, prices)

    sources = {id: dict(zip(("name", "at", "date"), source)) for id, source in SOURCES.items()}
    write({
        "$schema": "../json/catalog.schema.json",
        "version": 2,
        "date": DATE,
        "currency": "USD",
        "sources": sources,
        "accelerators": accelerator_rows(machines),
        "places": places,
        "shapes": shapes,
        "offers": offers,
        "prices": prices.rows(),
    })
    for what, count in sorted(left_out.items()):
        print(f"left out {count:4}: {what}", file=sys.stderr)


def accelerator_rows(machines):
    rows = []
    for word, (name, aliases, (link, gb_s), memory_source) in ACCELERATORS.items():
        fact = next(m for m in machines if m["accelerator"] == word and m["accel_fraction"] == "1")
        devices = DEVICES.get(word, 1)

        def each(column):
            return number(Decimal(fact[column]) / devices)

        nominal = NOMINAL_GIB.get(word)
        basis = fact["usable_basis"]
        tflops = {
            "bf16": each("bf16_tflops_dense_per_accel"),
            "fp16": each("fp16_tflops_dense_per_accel"),
            "fp8": each("fp8_tflops_dense_per_accel"),
            "fp4": each("fp4_tflops_dense_per_accel"),
            "int8": each("int8_tops_per_accel"),
        }
        row = {
            "name": name,
            "aliases": aliases,
            "kind": fact["kind"],
            "devices": devices,
            "nominal_gib": nominal or each("mem_per_accel_gib_nominal"),
            "usable_gib": each("mem_per_accel_gib_usable"),
            "usable_estimated": not basis.startswith("measured") or "inferred" in basis,
            "compute_capability": int(fact["compute_capability"].replace(".", "")) if fact["compute_capability"] else None,
            "bandwidth_gb_s": each("hbm_gb_s_per_accel"),
            "tflops": tflops,
            "interconnect": {"kind": link, "gb_s": gb_s},
            "gke_label": fact["gke_label_value"] or None,
            "vertex_type": fact["vertex_accelerator_type"] or None,
            "source": memory_source,
        }
        rows.append({key: value for key, value in row.items() if value is not None and value is not False})
    return rows


def place_lists(machines, g4_regions):
    lists = {}
    for m in machines:
        zones = set(filter(None, m["zones"].split(";")))
        documented = re.search(r"documented zones: ([^ ]*?)\.(?: |$)", m["notes"])
        if m["machine_type"].startswith("g4-"):
            row = {"regions": g4_regions, "source": "g4-priced-regions"}
        elif documented:
            listed = set(documented[1].split(","))
            row = {"zones": sorted(listed), "unconfirmed": sorted(zones - listed), "source": "tpu-zones"}
        elif zones:
            row = {"zones": sorted(zones), "source": "gpu-machines"}
        else:
            left_out["place lists of a4x machines: none is known"] += 1
            continue
        row = {key: value for key, value in row.items() if value}
        if row not in lists.values():
            lists[places_id(m)] = row
    return dict(sorted(lists.items()))


def places_id(m):
    if m["kind"] == "tpu":
        return ACCELERATORS[m["accelerator"]][0]
    family = m["machine_type"].split("-standard")[0]
    if family == "n1":
        return ACCELERATORS[m["accelerator"]][0]
    return re.sub(r"-[1248]g$", "", family) if m["machine_type"] != "a3-highgpu-8g" else family


def shape_rows(machines, places):
    rows, names = [], {}
    uses = Counter(m["machine_type"] for m in machines)
    for m in machines:
        machine, accelerator = m["machine_type"], ACCELERATORS[m["accelerator"]][0]
        if machine.startswith("n1-"):
            name = f"{machine}+{accelerator}x{m['accel_count']}"
        else:
            name = machine if uses[machine] == 1 else f"{machine}/{m['topology']}"
        names[m["shape"]] = name
        place = places_id(m)
        # Lists that are the same are written once; find the one that is ours.
        if place not in places:
            zones = set(filter(None, m["zones"].split(";")))
            place = next((id for id, row in places.items() if zones and set(row.get("zones", [])) == zones), None)
        bundled = m["local_ssd_bundled"].startswith("yes")
        eighths = int(Decimal(m["accel_fraction"]) * 8)
        rows.append(shape_row(
            name, machine, accelerator, int(m["accel_count"]), eighths, int(m["hosts"]), m["topology"] or None,
            int(m["vcpus"]), int(m["host_ram_gib"]), None, int(m["local_ssd_gib"]) if bundled else 0, place,
            "tpu-slices" if m["kind"] == "tpu" else "grace-machines" if machine.startswith("a4x") else "gpu-machines",
        ))
    for word, cpu, least, most in CLOUD_RUN_HOSTS:
        accelerator = ACCELERATORS[word][0]
        rows.append(shape_row(f"cloud-run/{accelerator}/{cpu}x{most}", None, accelerator, 1, 8, 1, None, cpu, most, least, 0, None, "run-gpu"))
    for m in hugging_face(machines).values():
        accelerator, count = ACCELERATORS[m["accelerator"]][0], int(m["accel_count"])
        rows.append(shape_row(f"hugging-face/{accelerator}/x{count}", None, accelerator, count, 8, 1, None, int(m["vcpus"]), int(m["host_ram_gib"]), None, 0, None, "hf-hardware"))
    return rows, names


def shape_row(name, machine, accelerator, count, eighths, hosts, topology, cpu, memory, least, ssd, places, source):
    row = {"name": name, "machine_type": machine, "accelerator": accelerator, "count": count}
    if eighths != 8:
        row["eighths"] = eighths
    row |= {"hosts": hosts, "topology": topology, "cpu": cpu, "memory_gib": memory, "min_memory_gib": least}
    if ssd:
        row["local_ssd_gib"] = ssd
    row |= {"places": places, "source": source}
    return {key: value for key, value in row.items() if value is not None}


def hugging_face(machines):
    """Its instances (`nvidia-l4 x4`), each with the smallest machine that has those accelerators."""
    found = {}
    for m in machines:
        instance = m["hf_inference_endpoints"].split(" (")[0]
        if instance and instance not in found:
            found[instance] = m
    return found


def offer_rows(machines, names, prices_csv, prices):
    priced = defaultdict(set)
    verified = defaultdict(set)
    for p in prices_csv:
        if p["surface"] in ("compute_engine+gke", "tpu_vm+gke"):
            word = p["accelerator"] if p["unit"] == "chip-hour" else None
            for m in machines:
                if p["shape"] == m["shape"] or word == m["accelerator"]:
                    priced[m["shape"]].add(OPTIONS[p["purchase_option"]])
        elif p["surface"] == "vertex_prediction" and p["hardware_in_region"] == "yes":
            verified[p["shape"]].add(p["region"])

    groups = defaultdict(list)
    for m in machines:
        options = {"on_demand"}
        note = None
        if NOT_ON_DEMAND.match(m["machine_type"]):
            options = set()
            note = "not sold on demand"
        if m["spot"] == "yes":
            options.add("spot")
        if m["flex_start"].startswith("yes"):
            options.add("flex_start")
        if m["calendar_mode"] == "yes":
            options.add("calendar")
        options |= priced[m["shape"]] & {"commitment_1y", "commitment_3y"}
        if m["machine_type"].startswith("a4x-"):
            # No list says Spot or calendar; what is left is flex-start.
            options, note = {"flex_start"}, "not sold on demand; usually by reservation"
        for surface in ("compute", "gke"):
            groups[surface, ordered(options), note, None].append(names[m["shape"]])
        if m["vertex_prediction"] == "yes" and m["kind"] == "gpu":
            regions = tuple(sorted(verified[m["shape"]])) or None
            note = None if regions else "in which regions Vertex AI has it is not verified"
            groups["vertex", ("on_demand",), note, regions].append(names[m["shape"]])

    rows = [offer(surface, shapes, options, regions and {r: None for r in regions}, note=note, source="vertex-samples" if surface == "vertex" else "on-demand-rules") for (surface, options, note, regions), shapes in groups.items()]
    for m in machines:
        if m["vertex_prediction"] == "yes" and m["kind"] == "tpu":
            zones = prices.places[places_id(m)]["zones"]
            regions = {r: None for r in sorted({z.rsplit("-", 1)[0] for z in zones})}
            rows.append(offer("vertex", [names[m["shape"]]], ("on_demand",), regions, instance=m["vertex_tpu_topology"], note="in which regions Vertex AI has it is not verified", source="vertex-samples"))
    for word, regions in (
        ("L4", {"asia-south1": "by invitation", "asia-southeast1": None, "europe-west1": None, "europe-west4": None, "us-central1": "by invitation", "us-east4": None}),
        ("RTXPRO6000", {"asia-south2": "by invitation", "asia-southeast1": None, "europe-west4": None, "us-central1": None}),
    ):
        accelerator = ACCELERATORS[word][0]
        hosts = [f"cloud-run/{accelerator}/{cpu}x{most}" for w, cpu, _, most in CLOUD_RUN_HOSTS if w == word]
        rows.append(offer("cloud_run", hosts, ("on_demand",), regions, max_concurrency=1000, source="run-gpu"))
    for instance, m in hugging_face(machines).items():
        name = f"hugging-face/{ACCELERATORS[m['accelerator']][0]}/x{m['accel_count']}"
        rows.append(offer("hugging_face", [name], ("on_demand",), {HUGGING_FACE_REGION: None}, instance=instance, note="billed per minute while initializing and running", source="hf-hardware"))
    order = ["cloud_run", "vertex", "gke", "compute", "hugging_face"]
    return sorted(rows, key=lambda row: order.index(row["surface"]))


def offer(surface, shapes, options, regions, max_concurrency=None, instance=None, note=None, source=None):
    row = {"surface": surface, "shapes": shapes, "options": list(options), "regions": regions, "max_concurrency": max_concurrency, "instance": instance, "note": note, "source": source}
    return {key: value for key, value in row.items() if value is not None}


class Prices:
    """The best price of each item, option and region; only where the hardware is sold."""

    def __init__(self, shapes, places):
        self.best = {}
        self.places = places
        self.shapes = {shape["name"]: shape for shape in shapes}
        self.sold = set()

    def sell(self, row):
        for name in row["shapes"]:
            regions = row.get("regions") or self.regions(self.shapes[name])
            surface = "compute" if row["surface"] == "gke" else row["surface"]
            self.sold |= {(surface, name, option, region) for option in row["options"] for region in regions}

    def regions(self, shape):
        row = self.places.get(shape.get("places"), {})
        zones = row.get("zones", []) + row.get("unconfirmed", [])
        return {zone.rsplit("-", 1)[0] for zone in zones} | set(row.get("regions", []))

    def shape(self, surface, name, option, region, usd, confidence, source, supersedes=False):
        if (surface, name, option, region) not in self.sold:
            left_out[f"{surface} prices of shapes that are not sold {option} there"] += 1
            return
        if option == "spot":
            confidence = max(confidence, "medium", key=RANK.get)
        self.add({"kind": "shape", "surface": surface, "shape": name}, option, region, usd, confidence, source, supersedes)

    def add(self, item, option, region, usd, confidence, source, supersedes=False):
        assert usd > 0 and usd != 700, (item, region, usd)
        key = (json.dumps(item), option, region)
        rank = (not supersedes, RANK[confidence], Reverse(SOURCES[source][2]))
        if key in self.best:
            left_out["prices that a surer or newer one replaces"] += 1
        if key not in self.best or rank < self.best[key][0]:
            self.best[key] = (rank, usd, confidence, source)

    def rows(self):
        groups = defaultdict(dict)
        for (item, option, region), (_, usd, confidence, source) in self.best.items():
            groups[item, option, confidence, source][region] = usd
        items = list(dict.fromkeys(item for item, _, _ in self.best))

        def order(key):
            item, option, confidence, source = key
            return items.index(item), OPTION_ORDER.index(option), RANK[confidence], source

        rows = []
        for key in sorted(groups, key=order):
            item, option, confidence, source = key
            usd = groups[key]
            row = {"item": json.loads(item), "option": option}
            regions = {region: number_text(usd[region]) for region in sorted(filter(None, usd))}
            if regions:
                row["usd"] = regions
            if None in usd:
                row["everywhere"] = number_text(usd[None])
            if confidence != "high":
                row["confidence"] = confidence
            rows.append(row | {"source": source})
        return rows


def machine_prices(prices_csv, names, machines, prices):
    """Compute Engine, GKE, Vertex AI and Inference Endpoints: whole shapes for an hour."""
    hosts, parts = {}, {}
    for p in prices_csv:
        key = (p["region"], OPTIONS[p["purchase_option"]])
        if p["price_scope"] == "per_vm host only":
            hosts[p["shape"], *key] = Decimal(p["price_usd"])
        elif p["shape"] in ("(gpu component)T4", "(gpu component)V100"):
            parts[p["accelerator"], *key] = Decimal(p["price_usd"])
    for m in machines:
        name = names[m["shape"]]
        if m["machine_type"].startswith("n1-"):
            for (machine, region, option), host in sorted(hosts.items()):
                part = parts.get((m["accelerator"], region, option))
                if machine == m["machine_type"] and part:
                    usd = host + part * int(m["accel_count"])
                    prices.shape("compute", name, option, region, usd, "medium", "n1-sum")
                    if option == "on_demand":
                        prices.shape("vertex", name, option, region, usd * Decimal("1.15"), "medium", "vertex-rule")
            continue
        for p in prices_csv:
            if p["shape"] == m["shape"]:
                vm_price(p, m, name, prices)
            elif p["unit"] == "chip-hour" and p["accelerator"] == m["accelerator"]:
                usd = Decimal(p["price_usd"]) * int(m["accel_count"])
                surface = "vertex" if p["surface"] == "vertex_prediction" else "compute"
                source = "vertex-rule-tpu" if surface == "vertex" else "skypilot" if p["source"].startswith("skypilot") else "tpu-price-page"
                prices.shape(surface, name, OPTIONS[p["purchase_option"]], p["region"], usd, confidence(p), source)
    for instance, m in hugging_face(machines).items():
        name = f"hugging-face/{ACCELERATORS[m['accelerator']][0]}/x{m['accel_count']}"
        p = next(p for p in prices_csv if p["surface"] == "hf_inference_endpoints" and p["shape"] == instance)
        prices.shape("hugging_face", name, "on_demand", HUGGING_FACE_REGION, Decimal(p["price_usd"]), "high", "hf-prices")


def vm_price(p, m, name, prices):
    option, usd, sure = OPTIONS[p["purchase_option"]], Decimal(p["price_usd"]), confidence(p)
    if "only" in p["price_scope"]:
        left_out["prices of accelerators whose host has no listed price"] += 1
        return
    if p["price_scope"] == "per_vm excluding local SSD":
        left_out["prices without the bundled local SSD where one with it is listed"] += 1
        return
    if p["surface"] == "vertex_prediction":
        prices.shape("vertex", name, option, p["region"], usd, sure, "vertex-rule")
        return
    source = next(id for start, id in (
        ("Cyclenerd", "billing-catalog"), ("cloud.google.com", "gpu-price-page"), ("huggingface.co/datasets/tanod", "list-prices"),
        ("github:tgarg01", "silybench"), ("sc-crawler", "g4-fraction-skus"),
    ) if p["source"].startswith(start))
    if m["accel_fraction"] != "1" and source == "billing-catalog":
        sure, source = "low", "g4-fraction-scaled"
    prices.shape("compute", name, option, p["region"], usd, sure, source, "supersedes" in p["confidence"])


def service_prices(prices_csv, prices):
    """Cloud Run, GKE's fee, storage, disks, egress."""
    def usd(surface, shape):
        return Decimal(next(p["price_usd"] for p in prices_csv if p["surface"] == surface and p["shape"] == shape))

    vcpu, gib = usd("cloud_run", "cloudrun vCPU (instance-based)"), usd("cloud_run", "cloudrun memory (instance-based)")
    # The table rounds the accelerator's price to a microdollar; the sums of whole instances do not.
    for redundant, word in ((False, "no-ZR"), (True, "ZR")):
        hour = usd("cloud_run", f"cloudrun-l4 4cpu/16GiB {word}")
        second = hour / 3600 - 4 * vcpu - 16 * gib
        prices.add({"kind": "cloud_run_accelerator", "accelerator": "nvidia-l4", "zonal_redundancy": redundant}, "on_demand", "us-central1", second.normalize(), "high", "run-prices")
    prices.add({"kind": "cloud_run_vcpu"}, "on_demand", "us-central1", vcpu, "high", "run-prices")
    prices.add({"kind": "cloud_run_memory_gib"}, "on_demand", "us-central1", gib, "high", "run-prices")
    prices.add({"kind": "gke_cluster"}, "on_demand", None, usd("gke", "cluster management fee"), "high", "gke-price-page")

    regions = sorted({p["region"] for p in prices_csv if p["shape"] == "gcs standard"})
    for p in prices_csv:
        price = Decimal(p["price_usd"])
        if p["shape"] in ("gcs standard", "gcs nearline"):
            prices.add({"kind": "storage_gib", "class": p["shape"].split()[1].upper()}, "on_demand", p["region"], price, "high", "billing-catalog")
        elif p["shape"] in ("gcs standard-dual", "gcs standard-multi"):
            location = {"europe-multi": "eu"}.get(p["region"], p["region"].removesuffix("-multi"))
            prices.add({"kind": "multi_region_storage_gib", "location": location}, "on_demand", None, price, "high", "billing-catalog")
        elif p["shape"] == "anywhere-cache storage":
            for region in regions:
                if region.startswith("us-"):  # the page's price is that of the US
                    prices.add({"kind": "anywhere_cache_gib"}, "on_demand", region, price, "medium", "storage-page")
                    for kind, usd_now in RAPID_CACHE:
                        prices.add({"kind": kind}, "on_demand", region, Decimal(usd_now), "medium", "rapid-cache-page")
        elif p["surface"] == "disk":
            disk = {"balanced": "pd-balanced", "ssd": "pd-ssd", "local": "local-ssd"}.get(p["shape"], p["shape"])
            prices.add({"kind": "disk_gib", "disk": disk}, "on_demand", p["region"], price, "high", "billing-catalog")
        elif p["shape"].startswith("internet egress"):
            to, tier = re.fullmatch(r"internet egress premium tier to (\w+) \[(.*) TiB\]", p["shape"]).groups()
            if to == "cost" and p["region"] == "asia-northeast1":
                left_out["egress prices that rise with the volume (asia-northeast1)"] += 1
                continue
            where = "internet" if to == "cost" else f"internet-{to}"
            where += {"0-1": "", "1-10": "-over-1-tib", "10n": "-over-10-tib"}[tier]
            prices.add({"kind": "egress_gib", "to": where}, "on_demand", p["region"], price, "high", "billing-catalog")
        elif p["surface"] == "cloud_storage":
            left_out["storage prices of the price page, rounded: the Billing Catalog has them"] += 1

    # Between regions; low, as they are remembered. Free ones (within a region) have no row.
    america = [r for r in regions if r.startswith(("us-", "northamerica-"))]
    europe = [r for r in regions if r.startswith("europe-")]
    asia = [r for r in regions if r.startswith("asia-")]
    memory = {p["shape"]: Decimal(p["price_usd"]) for p in prices_csv if p["surface"] == "network" and p["confidence"] == "low"}
    reads = memory["GCS multi-region(us) -> us region read"]
    prices.add({"kind": "multi_region_read_gib", "location": "us"}, "on_demand", None, reads, "low", "from-memory")
    for to, leaving, fact in (
        ("same-continent", america, "inter-region within North America"),
        ("same-continent", europe, "inter-region within Europe"),
        ("same-continent", asia, "inter-region within Asia"),
        ("north-america", europe, "inter-continent NA<->EU"),
        ("europe", america, "inter-continent NA<->EU"),
        ("asia", america + europe, "inter-continent to Asia"),
    ):
        for region in leaving:
            prices.add({"kind": "egress_gib", "to": to}, "on_demand", region, memory[fact], "low", "from-memory")


def confidence(p):
    return p["confidence"].split()[0]


def ordered(options):
    return tuple(option for option in OPTION_ORDER if option in options)


def number(value):
    return int(value) if value == value.to_integral() else float(value)


def number_text(value):
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class Reverse(str):
    """A text that sorts the other way round: the newest first."""

    def __lt__(self, other):
        return str.__gt__(self, other)


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(document):
    """One row per line."""
    out = []
    for key, value in document.items():
        if isinstance(value, list):
            body = ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in value)
            out.append(f"  {json.dumps(key)}: [\n{body}\n  ]")
        elif isinstance(value, dict):
            body = ",\n".join(f"    {json.dumps(id)}: {json.dumps(row, ensure_ascii=False)}" for id, row in value.items())
            out.append(f"  {json.dumps(key)}: {{\n{body}\n  }}")
        else:
            out.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    print("{\n" + ",\n".join(out) + "\n}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
