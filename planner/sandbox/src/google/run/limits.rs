//! CPU, memory and GPU: which combinations Cloud Run takes, where, and how many.
//!
//! Sources: Discovery run.v2 (`ResourceRequirements.limits`); Cloud Run's pages on CPU limits, on
//! memory limits and on GPUs (2026).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::error::Error;
use super::Run;
use super::service::Service;

const GPU: &str = "nvidia.com/gpu";

/// A GPU that Cloud Run has, and the least that a container with it must have.
struct Gpu {
    name: &'static str,
    cpus: f64,
    memory_gib: f64,
    regions: &'static [&'static str],
    /// Middle of the quota's name, `<this>AllocPerProjectRegion`.
    quota: &'static str,
}

const GPUS: [Gpu; 2] = [
    Gpu {
        name: "nvidia-l4",
        cpus: 4.0,
        memory_gib: 16.0,
        regions: &[
            "asia-southeast1",
            "asia-south1",
            "europe-west1",
            "europe-west4",
            "us-central1",
            "us-east4",
        ],
        quota: "NvidiaL4Gpu",
    },
    Gpu {
        name: "nvidia-rtx-pro-6000",
        cpus: 20.0,
        memory_gib: 80.0,
        regions: &[
            "asia-southeast1",
            "asia-south2",
            "europe-west4",
            "us-central1",
        ],
        quota: "NvidiaRtxPro6000Gpu",
    },
];

/// How many GPUs of a kind the services of a project may have in a region. None set, none checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Quota {
    pub(crate) region: String,
    pub(crate) accelerator: String,
    pub(crate) zonal_redundancy: bool,
    pub(crate) limit: u64,
}

/// Refuse resources that no instance can have.
pub(super) fn check_template(template: &Value, region: &str) -> Result<(), Error> {
    let accelerator = template["nodeSelector"]["accelerator"].as_str();
    let containers = template["containers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut gpus = 0_u32;
    for (at, container) in containers.iter().enumerate() {
        let path = format!("template.containers[{at}].resources");
        let limits = &container["resources"]["limits"];
        check_keys(limits, &path)?;
        let cpus = amount(&limits["cpu"], &format!("{path}.limits.cpu"))?;
        let gib = amount(&limits["memory"], &format!("{path}.limits.memory"))? / f64::from(1 << 30);
        match limits.get(GPU) {
            None => check_plain(cpus, gib, &path)?,
            Some(count) => {
                gpus += 1;
                check_gpu(count, accelerator, cpus, gib, region, &path)?;
                if container["resources"]["cpuIdle"] == true {
                    let text =
                        "must be false for a container with a GPU, which is billed by instance";
                    return Err(Error::field(&format!("{path}.cpu_idle"), text));
                }
            }
        }
    }
    match (accelerator, gpus) {
        (None, 0) | (Some(_), 1) => {}
        (_, 2..) => {
            return Err(Error::field(
                "template.containers",
                "only one container can have a GPU",
            ));
        }
        (Some(_), 0) => {
            let text = format!("an accelerator needs {GPU} = \"1\" in the limits of a container");
            return Err(Error::field("template.node_selector", text));
        }
        (None, 1) => {
            let text = format!("is required where a container has {GPU}");
            return Err(Error::field("template.node_selector.accelerator", text));
        }
    }
    if gpus == 1 && template["executionEnvironment"] == "EXECUTION_ENVIRONMENT_GEN1" {
        return Err(Error::field(
            "template.execution_environment",
            "GPUs need the second generation",
        ));
    }
    Ok(())
}

/// Refuse a service that would take more GPUs than its project may have.
pub(super) fn check(run: &Run, service: &Service) -> Result<(), Error> {
    let Some((accelerator, redundant)) = demand(service) else {
        return Ok(());
    };
    let quota = run.quotas.iter().find(|quota| {
        quota.region == service.location
            && quota.accelerator == accelerator
            && quota.zonal_redundancy == redundant
    });
    let Some(quota) = quota else {
        return Ok(());
    };
    if quota.limit == 0 {
        let with = if redundant { "with" } else { "without" };
        return Err(Error::field(
            "template.node_selector",
            format!("You do not have quota for using GPUs {with} zonal redundancy."),
        ));
    }
    let others = run.services().filter(|other| {
        other.name() != service.name()
            && other.project == service.project
            && other.location == service.location
            && demand(other) == Some((accelerator, redundant))
    });
    let asked = others.map(Service::most_instances).sum::<u64>() + service.most_instances();
    if asked > quota.limit {
        let kind = GPUS
            .iter()
            .find(|gpu| gpu.name == accelerator)
            .map_or("Gpu", |gpu| gpu.quota);
        let redundancy = if redundant {
            "Alloc"
        } else {
            "AllocNoZonalRedundancy"
        };
        return Err(Error::field(
            "template.scaling.max_instance_count",
            format!(
                "Quota violated: {kind}{redundancy}PerProjectRegion requested: {asked} allowed: {}",
                quota.limit
            ),
        ));
    }
    Ok(())
}

/// The kind of GPU a service wants, and whether with zonal redundancy.
fn demand(service: &Service) -> Option<(&str, bool)> {
    let template = &service.spec["template"];
    let accelerator = template["nodeSelector"]["accelerator"].as_str()?;
    Some((accelerator, template["gpuZonalRedundancyDisabled"] != true))
}

fn check_keys(limits: &Value, path: &str) -> Result<(), Error> {
    for key in limits
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
    {
        if !matches!(key, "cpu" | "memory" | GPU) {
            return Err(Error::field(
                &format!("{path}.limits"),
                format!("'{key}' is not supported: only cpu, memory and {GPU} are"),
            ));
        }
    }
    Ok(())
}

fn check_gpu(
    count: &Value,
    accelerator: Option<&str>,
    cpus: f64,
    gib: f64,
    region: &str,
    path: &str,
) -> Result<(), Error> {
    if count != "1" {
        return Err(Error::field(
            &format!("{path}.limits"),
            format!("{GPU} must be \"1\", not {count}"),
        ));
    }
    let Some(accelerator) = accelerator else {
        return Ok(());
    };
    let Some(gpu) = GPUS.iter().find(|gpu| gpu.name == accelerator) else {
        let known: Vec<&str> = GPUS.iter().map(|gpu| gpu.name).collect();
        return Err(Error::field(
            "template.node_selector.accelerator",
            format!(
                "'{accelerator}' is not supported: use one of {}",
                known.join(", ")
            ),
        ));
    };
    if !gpu.regions.contains(&region) {
        return Err(Error::field(
            "template.node_selector.accelerator",
            format!("'{accelerator}' is not available in {region}"),
        ));
    }
    // The L4 comes with an ordinary instance, the larger GPU with sizes of its own.
    if gpu.name == "nvidia-l4" && cpus >= gpu.cpus && gib >= gpu.memory_gib {
        return check_plain(cpus, gib, path);
    }
    if cpus < gpu.cpus || gib < gpu.memory_gib || cpus.fract() != 0.0 {
        return Err(Error::field(
            &format!("{path}.limits"),
            format!(
                "{accelerator} needs at least {} whole CPUs and {}Gi of memory",
                gpu.cpus, gpu.memory_gib
            ),
        ));
    }
    Ok(())
}

/// CPU without a GPU: 1, 2, 4, 6 or 8, or a fraction below 1; memory between the bounds for it.
fn check_plain(cpus: f64, gib: f64, path: &str) -> Result<(), Error> {
    const WHOLE: [f64; 5] = [1.0, 2.0, 4.0, 6.0, 8.0];
    let field = format!("{path}.limits");
    let whole = WHOLE
        .iter()
        .any(|known| (known - cpus).abs() < f64::EPSILON);
    if !whole && !(0.08..1.0).contains(&cpus) {
        return Err(Error::field(
            &field,
            format!("cpu must be 1, 2, 4, 6, 8 or from 0.08 to 1, not {cpus}"),
        ));
    }
    let least = match cpus {
        c if c >= 6.0 => 4.0,
        c if c >= 4.0 => 2.0,
        _ => 0.125,
    };
    let most = match cpus {
        c if c < 0.5 => 0.5,
        c if c < 1.0 => 1.0,
        c if c < 2.0 => 4.0,
        c if c < 4.0 => 8.0,
        c if c < 6.0 => 16.0,
        c if c < 8.0 => 24.0,
        _ => 32.0,
    };
    if gib < least || gib > most {
        return Err(Error::field(
            &field,
            format!("{cpus} CPU needs memory from {least}Gi to {most}Gi, not {gib}Gi"),
        ));
    }
    Ok(())
}

/// A Kubernetes quantity as a number: `4`, `500m`, `16Gi`, `512M`.
pub(super) fn amount(value: &Value, path: &str) -> Result<f64, Error> {
    let text = value.as_str().unwrap_or_default();
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let scale = match unit {
        "" => 1.0,
        "m" => 0.001,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => f64::from(1 << 10),
        "Mi" => f64::from(1 << 20),
        "Gi" => f64::from(1 << 30),
        _ => f64::NAN,
    };
    match number.parse::<f64>() {
        Ok(number) if number > 0.0 && scale > 0.0 => Ok(number * scale),
        _ => Err(Error::field(path, format!("'{text}' is not a quantity"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(accelerator: Option<&str>, limits: &Value) -> Value {
        let mut template = json!({"containers": [{"image": "a", "resources": {"limits": limits}}]});
        if let Some(accelerator) = accelerator {
            template["nodeSelector"] = json!({"accelerator": accelerator});
        }
        template
    }

    #[track_caller]
    fn refused(accelerator: Option<&str>, region: &str, limits: &Value, words: &str) {
        let error =
            check_template(&template(accelerator, limits), region).expect_err("must be refused");
        let error = format!("{error:?}");
        assert!(error.contains(words), "{error}\nlacks {words}");
    }

    #[test]
    fn gpus_have_their_least_sizes_and_their_regions() {
        let l4 = json!({"cpu": "4", "memory": "16Gi", GPU: "1"});
        let rtx = json!({"cpu": "20", "memory": "80Gi", GPU: "1"});
        check_template(&template(Some("nvidia-l4"), &l4), "us-central1").expect("the least L4");
        check_template(&template(Some("nvidia-rtx-pro-6000"), &rtx), "us-central1")
            .expect("the least RTX");
        refused(
            Some("nvidia-rtx-pro-6000"),
            "us-central1",
            &l4,
            "20 whole CPUs and 80Gi",
        );
        refused(
            Some("nvidia-l4"),
            "europe-north1",
            &l4,
            "not available in europe-north1",
        );
        refused(
            Some("nvidia-h100"),
            "us-central1",
            &l4,
            "is not supported: use one of nvidia-l4",
        );
        refused(
            None,
            "us-central1",
            &l4,
            "is required where a container has",
        );
        let two = json!({"cpu": "8", "memory": "32Gi", GPU: "2"});
        refused(Some("nvidia-l4"), "us-central1", &two, "must be \\\"1\\\"");
        let small = json!({"cpu": "2", "memory": "16Gi", GPU: "1"});
        refused(
            Some("nvidia-l4"),
            "us-central1",
            &small,
            "4 whole CPUs and 16Gi",
        );
        let odd = json!({"cpu": "4", "memory": "32Gi", GPU: "1"});
        refused(
            Some("nvidia-l4"),
            "us-central1",
            &odd,
            "4 CPU needs memory from 2Gi to 16Gi",
        );
        let none = json!({"cpu": "4", "memory": "16Gi"});
        refused(
            Some("nvidia-l4"),
            "us-central1",
            &none,
            "an accelerator needs",
        );
    }

    #[test]
    fn cpu_and_memory_come_in_pairs() {
        let check = |cpu: &str, memory: &str| {
            check_template(
                &template(None, &json!({"cpu": cpu, "memory": memory})),
                "us-central1",
            )
        };
        for (cpu, memory) in [
            ("1000m", "512Mi"),
            ("1", "4Gi"),
            ("4", "16Gi"),
            ("8", "32Gi"),
            ("0.5", "1Gi"),
        ] {
            check(cpu, memory).unwrap_or_else(|error| panic!("{cpu} {memory}: {error:?}"));
        }
        for (cpu, memory) in [
            ("3", "4Gi"),
            ("1", "8Gi"),
            ("8", "2Gi"),
            ("4", "lots"),
            ("8", "64Gi"),
        ] {
            check(cpu, memory).expect_err(&format!("{cpu} {memory}"));
        }
    }
}
