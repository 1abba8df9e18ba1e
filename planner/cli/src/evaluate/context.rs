//! What a row leaves unsaid: the engine's version of its time, the memory of a named device.

use super::rows::Row;

/// A share as a number; words before it (`kaito default .84`) are left out.
pub(crate) fn utilization(text: &str) -> Option<f64> {
    let number: f64 = text.split(' ').next_back()?.parse().ok()?;
    (number > 0.0 && number <= 1.0).then_some(number)
}

/// The engine's version: as stated; else that of its time, where the row says when it was; else
/// the newest where the share is the newest's default, and the last one before where it is not.
pub(crate) fn version(row: &Row, utilization: Option<f64>) -> Option<String> {
    let stated = row.text("engine_version");
    if !stated.is_empty() {
        return Some(stated.to_owned());
    }
    let date = row.text("source_date");
    let of_its_time = RELEASES
        .iter()
        .rfind(|(day, _)| *day <= date && date.starts_with("20"))
        .map(|(_, version)| (*version).to_owned());
    let newest = utilization.is_some_and(|share| (share - 0.92).abs() < 1e-9);
    of_its_time.or_else(|| (!newest).then(|| "0.20".to_owned()))
}

/// Days from which a version of vLLM was the newest (GitHub releases).
const RELEASES: [(&str, &str); 9] = [
    ("2023-06", "0.1"),
    ("2024-09", "0.6"),
    ("2025-01", "0.8"),
    ("2025-10", "0.11"),
    ("2026-02", "0.17"),
    ("2026-04", "0.19"),
    ("2026-06", "0.21"),
    ("2026-07", "0.22"),
    ("2026-08", "0.27.1"),
];

/// Memory that an engine sees of a device, by a name in a log.
pub(crate) fn device_gib(hardware: &str, source: &str) -> Option<f64> {
    let azure = source.contains("kaito");
    AZURE_DEVICES
        .iter()
        .filter(|_| azure)
        .chain(&DEVICES)
        .find(|(name, _)| hardware.contains(name))
        .map(|(_, gib)| *gib)
}

/// KAITO runs on Azure, whose H100 is the NVL card of 94 GB.
const AZURE_DEVICES: [(&str, f64); 2] = [("H100", 93.1), ("A10", 22.49)];

/// Torch-visible totals of devices in public start-up logs.
const DEVICES: [(&str, f64); 13] = [
    ("H200", 139.72),
    ("H100", 79.19),
    ("GB200", 184.0),
    ("B200", 178.3),
    ("A100-40", 39.39),
    ("A100", 79.15),
    ("A10", 22.07),
    ("L4", 22.03),
    ("RTX3090", 23.58),
    ("RTX4090", 23.53),
    ("RTX PRO 6000", 94.97),
    ("T4", 14.6),
    ("12GB", 11.6),
];
