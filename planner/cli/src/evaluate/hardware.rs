//! The devices that rows name, in the many spellings of logs, recipes and notebooks.
//!
//! A name is compared by its letters and digits alone, without its maker; what stands behind
//! it (`SXM5`, `PCIe`, the size, the number of chips) is dropped word by word until it is known.

use openmodel_resolve::Catalog;
use openmodel_schemas::catalog::AcceleratorRow;

/// A row of the catalog by a loose name: `NVIDIA L4`, `A100-80GB`, `H100 SXM`, `TPU v6e-8`.
pub(crate) fn accelerator<'a>(catalog: &'a Catalog, text: &str) -> Option<&'a AcceleratorRow> {
    if let Some(row) = catalog.accelerator(text.trim()) {
        return Some(row);
    }
    of_cards_sold(text)
        .iter()
        .find_map(|spelling| spelled(catalog, spelling))
}

/// Whether a loose name leaves open in which size or form a card comes, and a row of the catalog
/// is one of them: an `A100` of 80 GB, an `H100` of the mega machines.
pub(crate) fn may_mean(catalog: &Catalog, text: &str, row: &AcceleratorRow) -> bool {
    let own = letters(&row.name).replace("mega", "");
    // Another card's name may begin so too: only a size may follow.
    let is = |spelling: &str| own.strip_prefix(spelling).is_some_and(is_size);
    let mut spellings = of_cards_sold(text).into_iter();
    spellings
        .find(|spelling| is(spelling) || spelled(catalog, spelling).is_some())
        .is_some_and(|spelling| is(&spelling))
}

/// The spellings of a text down to the one of a card that is no shape of the catalog's: it is not
/// the one its name begins with (H100 NVL).
fn of_cards_sold(text: &str) -> Vec<String> {
    let sold = |spelling: &String| !DEVICES.iter().any(|(name, _)| name == spelling);
    spellings(text).into_iter().take_while(sold).collect()
}

fn spelled<'a>(catalog: &'a Catalog, spelling: &str) -> Option<&'a AcceleratorRow> {
    catalog.document().accelerators.iter().find(|row| {
        std::iter::once(&row.name)
            .chain(&row.aliases)
            .any(|name| letters(name) == spelling)
    })
}

/// Whether letters are none, or a size such as `80gb`.
fn is_size(text: &str) -> bool {
    let digits = text.strip_suffix("gb").unwrap_or(text);
    digits.chars().all(|c| c.is_ascii_digit())
}

/// Memory that an engine sees of a device, by a name in a log.
pub(crate) fn device_gib(catalog: &Catalog, text: &str, source: &str) -> Option<f64> {
    let all = spellings(text);
    // KAITO runs on Azure, whose H100 is the NVL card of 94 GB.
    let azure = source.to_lowercase().contains("kaito");
    if azure && let Some(gib) = listed(&AZURE_DEVICES, &all) {
        return Some(gib);
    }
    if text.trim() == "A100" {
        return Some(79.15);
    }
    listed(&DEVICES, &all)
        .or_else(|| accelerator(catalog, text).map(|row| row.usable_gib))
        .or_else(|| class(text))
}

/// Whether a text names a device or says what there is of it. A name that is not known here may be
/// that of a newer card, and then it has a number.
pub(crate) fn names_a_device(catalog: &Catalog, text: &str, source: &str) -> bool {
    let lower = text.to_lowercase();
    let says = ["gpu", "tpu", "cuda"]
        .iter()
        .any(|word| lower.contains(word));
    says || lower.contains(|c: char| c.is_ascii_digit())
        || device_gib(catalog, text, source).is_some()
}

/// Most that a stated total and the known memory of a device differ by, as a share: reserved and
/// nominal sizes of one card lie nearer, the sizes in which a card is sold further apart.
const DIFFERS: f64 = 0.2;

/// Whether a device of this name may have a total of so many GiB; else the memory it is known to
/// have. Nothing is said of devices that are not known, and of parts of one.
pub(crate) fn may_have(catalog: &Catalog, text: &str, source: &str, gib: f64) -> Result<(), f64> {
    let Some(known) = device_gib(catalog, text, source) else {
        return Ok(());
    };
    // `1g.10gb` of an H100, a quarter of an RTX PRO 6000.
    let lower = text.to_lowercase();
    let is_part = lower.contains("mig") || lower.contains("g.") || lower.contains("1/");
    let sold = catalog.document().accelerators.iter();
    let sold = sold.filter(|row| may_mean(catalog, text, row));
    let other = of_cards_sold(text);
    let other = DEVICES.iter().filter(|(name, _)| {
        // Two digits: an L4 is no L40.
        let is = |own: &String| {
            name.strip_prefix(own.as_str())
                .is_some_and(|size| size.len() > 1 && is_size(size))
        };
        other.iter().any(is)
    });
    let fits = |known: f64| (gib - known).abs() <= DIFFERS * known;
    let may = is_part
        || fits(known)
        || sold.map(|row| row.usable_gib).any(fits)
        || other.map(|(_, gib)| *gib).any(fits);
    if may { Ok(()) } else { Err(known) }
}

fn listed(devices: &[(&str, f64)], spellings: &[String]) -> Option<f64> {
    spellings.iter().find_map(|spelling| {
        devices
            .iter()
            .find(|(name, _)| name == spelling)
            .map(|(_, gib)| *gib)
    })
}

const AZURE_DEVICES: [(&str, f64); 2] = [("h100", 93.1), ("a10", 22.49)];

/// Torch-visible totals of devices that the catalog does not sell: from public start-up logs,
/// else what `nvidia-smi` lists less 0.5 GiB.
const DEVICES: [(&str, f64); 30] = [
    ("h100nvl", 93.1),
    ("h100nvl94gb", 93.1),
    ("h800", 79.19),
    ("a800", 79.15),
    ("a80080gb", 79.15),
    ("h20", 95.0),
    ("h2096gb", 95.0),
    ("gh200", 94.5),
    ("l40s", 44.39),
    ("l40", 44.39),
    ("l20", 44.39),
    ("a40", 44.35),
    ("a30", 23.6),
    ("a10", 22.07),
    ("a10g", 22.07),
    ("rtxa6000", 47.4),
    ("a6000", 47.4),
    ("rtx6000ada", 47.4),
    ("rtx3090", 23.58),
    ("rtx4090", 23.53),
    ("rtx5090", 31.36),
    ("rtxpro5000", 47.0),
    ("rtx3060", 11.66),
    ("v10032gb", 31.74),
    ("v10032", 31.74),
    ("mi300x", 191.45),
    ("mi325x", 255.45),
    ("mi355x", 287.45),
    ("gb10", 119.7),
    ("dgxspark", 119.7),
];

/// Nominal sizes that logs state in place of a name (`24GB class`), as engines see them.
fn class(text: &str) -> Option<f64> {
    let lower = text.to_lowercase();
    let end = lower.find("gb")?;
    let head = lower[..end].trim_end();
    let start = head.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| {
        at + head[at..].chars().next().map_or(1, char::len_utf8)
    });
    let nominal: u32 = head[start..].parse().ok()?;
    Some(match nominal {
        0 => return None,
        80 => 79.15,
        40 => 39.39,
        141 => 139.72,
        other => f64::from(other) * 0.98,
    })
}

/// The spellings of a text, longest first: all of it, then less and less of its end.
fn spellings(text: &str) -> Vec<String> {
    let text = text.split('(').next().unwrap_or(text);
    let words: Vec<&str> = text
        .split([' ', '-', '_', '/', ','])
        .filter(|word| !word.is_empty())
        .collect();
    let mut all = Vec::new();
    for end in (1..=words.len()).rev() {
        let joined = letters(&words[..end].join(""));
        if !joined.is_empty() && !all.contains(&joined) {
            all.push(joined);
        }
    }
    all
}

/// Letters and digits of a name, without its maker and what every such name has.
fn letters(name: &str) -> String {
    let mut name: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let makers = [
        "nvidia", "google", "amd", "cloud", "tesla", "geforce", "instinct", "tpu",
    ];
    while let Some(maker) = makers
        .iter()
        .find(|maker| name.len() > maker.len() && name.starts_with(**maker))
    {
        name.drain(..maker.len());
    }
    // `tpu7x` and `v7x` are one name.
    if name == "7x" { "v7x".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is(text: &str, expect: Option<&str>) {
        let found = accelerator(Catalog::embedded(), text).map(|row| row.name.as_str());
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn a_name_without_a_size_may_mean_any() {
        let means = |text: &str, name: &str| {
            let catalog = Catalog::embedded();
            let row = catalog.accelerator(name).expect("the catalog has it");
            may_mean(catalog, text, row)
        };
        for (text, name) in [
            ("A100", "nvidia-a100-80gb"),
            ("NVIDIA H100", "nvidia-h100-mega-80gb"),
            ("H100 80GB", "nvidia-h100-mega-80gb"),
            ("H100 SXM5", "nvidia-h100-mega-80gb"),
        ] {
            assert!(means(text, name), "{text}");
        }
        for (text, name) in [
            ("A100-40", "nvidia-a100-80gb"),
            ("A100 40GB SXM", "nvidia-a100-80gb"),
            ("H100 NVL", "nvidia-h100-80gb"),
            ("H100M", "nvidia-h100-80gb"),
            ("H100", "nvidia-h200-141gb"),
            ("L4", "nvidia-t4"),
            ("B200", "nvidia-gb200"),
        ] {
            assert!(!means(text, name), "{text}");
        }
    }

    #[test]
    fn the_catalogs_accelerators_have_many_names() {
        is("L4", Some("nvidia-l4"));
        is("NVIDIA L4 24GB", Some("nvidia-l4"));
        is("A100-80GB", Some("nvidia-a100-80gb"));
        is("A100 80GB", Some("nvidia-a100-80gb"));
        is("A100-80", Some("nvidia-a100-80gb"));
        is("A100-40GB SXM", Some("nvidia-a100-40gb"));
        is("H100-80GB SXM", Some("nvidia-h100-80gb"));
        is("H100 SXM5", Some("nvidia-h100-80gb"));
        is("H100 MEGA", Some("nvidia-h100-mega-80gb"));
        is("RTX PRO 6000", Some("nvidia-rtx-pro-6000"));
        is("RTXPRO6000", Some("nvidia-rtx-pro-6000"));
        is(
            "RTX PRO 6000 Blackwell Server Edition",
            Some("nvidia-rtx-pro-6000"),
        );
        is("Tesla T4", Some("nvidia-t4"));
        is("V100 16GB", Some("nvidia-v100"));
        is("B200", Some("nvidia-b200"));
        is("TPU v5e-1", Some("tpu-v5e"));
        is("TPU v6e-8", Some("tpu-v6e"));
        is("TPU tpu7x-4chips", Some("tpu7x"));
        is("tpu-v6e-slice", Some("tpu-v6e"));
        is("v5p", Some("tpu-v5p"));
        is("", None);
        is("H20", None);
        is("H100 NVL", None);
        is("L40S", None);
        is("A10G", None);
        is("V100-32GB", None);
    }

    #[test]
    fn cards_that_are_not_sold_have_memory_too() {
        let gib = |text| device_gib(Catalog::embedded(), text, "");
        for (text, expect) in [
            ("L40S", 44.39),
            ("NVIDIA H20", 95.0),
            ("H100 NVL", 93.1),
            ("A10 (24GB, = L4 class)", 22.07),
            ("A10 (L4-class 24GB)", 22.07),
            ("RTX 4090", 23.53),
            ("H100", 79.19),
            ("H200", 139.72),
            ("A100", 79.15),
            ("80GB", 79.15),
        ] {
            assert_eq!(gib(text), Some(expect), "{text}");
        }
        assert_eq!(gib("quantum annealer"), None);
        assert_eq!(gib("ñGB"), None);
        assert_eq!(
            device_gib(Catalog::embedded(), "H100", "kaito PR#2156"),
            Some(93.1)
        );
    }
}
