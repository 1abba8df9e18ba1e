"""SkyPilot's optimizer beside our ranking: the same prices, the same run, one core each.

SkyPilot does not size a model, so it is given the answer to that half of the question: every set of
accelerators that our ranking says holds the model. It picks the cheapest machine among them. Its
catalog is written from ours, so nothing is downloaded and both compare the same offers; of the
accelerators, it has those that its GCP catalog binds to machine types. Our time is that of the whole
ranking, with sizing, over every accelerator, surface, place and way to buy.

    cargo bench -p openmodel-resolve --bench choose | skypilot.py OPENMODEL_BINARY

What comes in is printed too; our time is read from it.
"""

import csv
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 15

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
# Our line for it: `rank: Llama-3.1-8B, 4 formats, every offer      1.64 ms`.
OURS = re.compile(r"^rank: Llama-3.1-8B.*?([0-9.]+) ms")

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Our names by SkyPilot's, of what `_ACC_INSTANCE_TYPE_DICTS` of sky/catalog/gcp_catalog.py knows.
NAMES = {
    "nvidia-l4": "L4",
    "nvidia-a100-40gb": "A100",
    "nvidia-a100-80gb": "A100-80GB",
    "nvidia-h100-80gb": "H100",
    "nvidia-h100-mega-80gb": "H100-MEGA",
}


def ours():
    """Milliseconds of our ranking, from the benchmark on the standard input."""
    found = None
    for line in sys.stdin:
        print(line, end="", flush=True)
        found = OURS.match(line) or found
    if found is None:
        sys.exit(f"skypilot.py: no line of the benchmark matches {OURS.pattern}")
    return float(found[1])


def ranking(openmodel):
    """What holds the model on Compute Engine on demand at a known price, of SkyPilot's machines."""
    command = [openmodel, "recommend", MODEL, "--surface", "compute"]
    command += ["--models", str(ROOT / "tests/facts/models.json")]
    command += ["--option", "on_demand", "--json", "--limit", "100000"]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return [
        one
        for one in [answer["chosen"], *answer["runners_up"]]
        if one["accelerator"] in NAMES and one["cost"]["hourly"] is not None
    ]


def write_catalog(folder):
    """Our on-demand machines as SkyPilot's CSV files; returns how many rows it got."""
    catalog = json.loads((ROOT / "schemas/catalog/catalog.json").read_text())
    shapes = {shape["name"]: shape for shape in catalog["shapes"]}
    lines = []
    for price in catalog["prices"]:
        item = price["item"]
        shape = shapes.get(item.get("shape"))
        if item.get("surface") != "compute" or price["option"] != "on_demand" or shape is None:
            continue
        name = NAMES.get(shape["accelerator"])
        if name is None:
            continue
        host = [shape["machine_type"], "", "", shape["cpu"], shape["memory_gib"], ""]
        gpus = ["", name, shape["count"], "", "", json.dumps({"Gpus": [{"Name": name}]})]
        for region, usd in price.get("usd", {}).items():
            # It adds the price of the accelerators to that of their host; ours are of both.
            lines.append([*host, usd, usd, region, f"{region}-a"])
            lines.append([*gpus, 0, 0, region, f"{region}-a"])
    header = "InstanceType AcceleratorName AcceleratorCount vCPUs MemoryGiB GpuInfo Price SpotPrice Region AvailabilityZone"
    files = {
        "gcp/vms.csv": [header.split(), *lines],
        "gcp/images.csv": [["Tag", "Region", "OS", "OSVersion", "ImageId", "CreationDate"]],
        "gcp/accelerator_quota_mapping.csv": [["Region", "Accelerator", "Quota"]],
        "common/accelerators.csv": [["AcceleratorName", "Clouds"], *([name, "['GCP']"] for name in NAMES.values())],
    }
    for path, rows in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        with open(folder / path, "w", newline="") as file:
            csv.writer(file).writerows(rows)
    return len(lines)


def main():
    [openmodel] = sys.argv[1:]
    ours_ms = ours()
    holds = ranking(openmodel)
    candidates = sorted({(NAMES[one["accelerator"]], one["accelerator_count"]) for one in holds})
    # It keeps its catalog and its state below the home of who runs it.
    os.environ["HOME"] = tempfile.mkdtemp(prefix="skypilot-")
    os.environ["SKYPILOT_DISABLE_USAGE_COLLECTION"] = "1"
    sys.stdout, printed = open(os.devnull, "w"), sys.stdout
    import sky
    from sky.catalog import constants

    catalogs = pathlib.Path(constants.CATALOG_DIR).expanduser() / constants.CATALOG_SCHEMA_VERSION
    rows = write_catalog(catalogs)
    from sky import check, clouds
    from sky.optimizer import Optimizer

    # What it would find out by asking for credentials.
    check.get_cached_enabled_clouds_or_refresh = lambda *_, **__: [clouds.GCP()]

    def best():
        with sky.Dag() as dag:
            task = sky.Task(run="serve")
            task.set_resources(
                {sky.Resources(cloud=clouds.GCP(), accelerators={name: count}) for name, count in candidates}
            )
        start = time.perf_counter()
        Optimizer.optimize(dag, quiet=True)
        return (time.perf_counter() - start) * 1000, task.best_resources

    best()  # The first run imports, and reads the catalog.
    runs = [best() for _ in range(RUNS)]
    theirs_ms = statistics.median(ms for ms, _ in runs)
    resources = runs[-1][1]
    cheapest = min(holds, key=lambda one: float(one["cost"]["hourly"]))
    sys.stdout = printed
    print(f"\n{MODEL}: SkyPilot {sky.__version__} over {rows // 2} priced machines, {len(candidates)} candidates")
    print(f"  SkyPilot  {theirs_ms:8.2f} ms  {resources.instance_type} at ${resources.get_cost(3600):.4f}/h")
    print(f"  openmodel {ours_ms:8.2f} ms  {cheapest['machine_type']} at ${float(cheapest['cost']['hourly']):.4f}/h")
    print(f"  ratio     {theirs_ms / ours_ms:8.1f}")


main()
