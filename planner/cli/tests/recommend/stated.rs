//! What is typed counts: the context makes room for it, and a limit is told by its flag.

use super::{LLAMA, page};

#[test]
fn a_request_that_is_stated_has_room_without_a_context() {
    for (asked, load) in [
        (
            "--input-tokens 9000",
            "context of 9,256 tokens* · 9,000 tokens in · 256 out*",
        ),
        (
            "--output-tokens 8192",
            "context of 9,216 tokens* · 1,024 tokens in* · 8,192 out",
        ),
        (
            "--input-tokens 9000 --output-tokens 100",
            "context of 9,100 tokens* · 9,000 tokens in · 100 out",
        ),
        (
            "--input-tokens 131000",
            "context of 131,072 tokens* · 131,000 tokens in · 72 out*",
        ),
    ] {
        let page = page(130, &format!("{LLAMA} {asked}"), 0);
        assert!(page.contains(load), "{asked}: {page}");
    }
}

#[test]
fn a_limit_that_is_too_low_is_told_with_the_flag_and_what_would_do() {
    for (asked, flags) in [
        ("--max-hourly-cost 0.1", 1),
        ("--max-monthly-cost 20 --starts-per-month 1000", 1),
        ("--max-monthly-cost 20 --max-hourly-cost 0.1", 2),
        ("--max-tpot-ms 1", 1),
        ("--max-ttft-ms 1", 1),
    ] {
        let refused = page(110, &format!("{LLAMA} {asked}"), 1);
        let refused: Vec<&str> = refused.split_whitespace().collect();
        let refused = refused.join(" ");
        let hint = refused
            .split_once("With --max-")
            .and_then(|(_, rest)| rest.split_once(" Rejected "))
            .and_then(|(hint, _)| hint.split_once(" it fits "));
        let (weaker, fits) = hint.expect("a weaker limit would do");
        let weaker = format!("--max-{}", weaker.replace(" and ", " "));
        assert_eq!(weaker.matches("--").count(), flags, "{weaker}");
        let unit = if weaker.contains("monthly") {
            " a month."
        } else {
            " an hour."
        };
        assert!(
            fits.ends_with(unit) || fits.ends_with("an unknown price."),
            "{fits}"
        );
        // Typed as it is said, it does.
        let starts = asked.split_once(" --starts").map_or("", |(_, rest)| rest);
        let starts = if starts.is_empty() {
            String::new()
        } else {
            format!(" --starts{starts}")
        };
        page(110, &format!("{LLAMA} {weaker}{starts}"), 0);
    }
}
