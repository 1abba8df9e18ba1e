//! Why a shape that holds the load is not the first: the figure it loses by.

use openmodel_schemas::quantity::{Usd, UsdPerHour};
use openmodel_schemas::spec::Objective;

use crate::show::option;
use crate::survey::{Choice, Survey};

/// The reason code, and the reason in words.
pub(crate) fn behind(
    survey: &Survey,
    own: &Choice,
    first: &Choice,
    objective: Objective,
) -> (&'static str, String) {
    let pace = |choice: &Choice| survey.fits[choice.fit].pace;
    if let (Some(own), Some(first)) = (pace(own), pace(first)) {
        match objective {
            Objective::Latency if own.tpot_ms.estimate > first.tpot_ms.estimate => {
                let more = own.tpot_ms.estimate - first.tpot_ms.estimate;
                return ("slower", format!("{more:.1} ms more between tokens"));
            }
            Objective::Throughput => {
                let less =
                    first.output_tokens_per_second.estimate - own.output_tokens_per_second.estimate;
                if less > 0.0 {
                    return ("slower", format!("{less:.0} tokens a second less"));
                }
            }
            _ => {}
        }
    }
    let (Some(price), Some(best)) = (own.hourly, first.hourly) else {
        let place = own
            .sale
            .region
            .map_or_else(String::new, |region| format!(" in {region}"));
        return match (own.hourly, first.hourly) {
            (None, Some(_)) => ("unpriced", format!("its price{place} is not known")),
            _ => ("larger", format!("is larger; no price{place} is known")),
        };
    };
    if price <= best && !own.sale.confirmed && first.sale.confirmed {
        let less = cheaper(price, best);
        return (
            "unconfirmed",
            format!("{less}, but the vendor does not say that the hardware stands there"),
        );
    }
    if price <= best && own.sale.option != first.sale.option {
        return (
            "not_on_demand",
            format!("is sold {} only", option(own.sale.option)),
        );
    }
    if objective == Objective::CostPerToken && price < best {
        let words = "costs less an hour, but more by the token";
        return ("costs_more", words.to_owned());
    }
    let more = match (survey.month(own), survey.month(first)) {
        (Some(Usd(own)), Some(Usd(first))) if own > first => Some(Usd(own - first)),
        _ => None,
    };
    let hour = UsdPerHour(price.0 - best.0);
    match more {
        // The hour says it all where the rest of the month is the same.
        Some(more) if more == hour.per_month() => ("costs_more", format!("costs {hour} more")),
        Some(more) if own.replicas > first.replicas => (
            "costs_more",
            format!(
                "costs {more} a month more, as it takes {} replicas",
                own.replicas
            ),
        ),
        Some(more) => ("costs_more", format!("costs {more} a month more")),
        None if price > best => ("costs_more", format!("costs {hour} more")),
        None => ("costs_the_same", "costs the same".to_owned()),
    }
}

fn cheaper(own: UsdPerHour, first: UsdPerHour) -> String {
    if own == first {
        "costs the same".to_owned()
    } else {
        format!("costs {} less", UsdPerHour(first.0 - own.0))
    }
}
