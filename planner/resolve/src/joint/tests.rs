//! Small pools to read.

mod random;

use std::collections::BTreeMap;

use openmodel_schemas::quantity::Bytes;
use rust_decimal::Decimal;

use super::problem::Problem;
use super::search::{Found, search_alone};
use super::{Fit, JointError, Limits, Machine, Mix, Takes, Tenant, mix, pool};

/// `("g2-standard-24", "l4", 2, "2.00")`, with 96 GiB for each accelerator.
fn machine(name: &str, accelerator: &str, accelerators: u32, hourly: &str) -> Machine {
    Machine {
        name: name.to_owned(),
        accelerator: accelerator.to_owned(),
        accelerators,
        memory: Bytes::gib(96 * u64::from(accelerators)),
        hourly: hourly.parse().expect("a price"),
        limit: None,
    }
}

fn tenant(name: &str, replicas: u32, fits: &[(&str, Takes)]) -> Tenant {
    let fit = |&(accelerator, takes): &(&str, Takes)| Fit {
        accelerator: accelerator.to_owned(),
        takes,
        memory: Bytes::gib(16),
    };
    Tenant {
        name: name.to_owned(),
        replicas,
        fits: fits.iter().map(fit).collect(),
        why_not: Vec::new(),
    }
}

fn shop() -> Vec<Machine> {
    vec![
        machine("g2-8", "l4", 1, "0.85"),
        machine("g2-24", "l4", 2, "2.00"),
        machine("a3-8g", "h100", 8, "88.00"),
        machine("a3-1g", "h100", 1, "11.50"),
    ]
}

/// A mix as text: the price, the machines, a line for each seat.
fn show(mix: &Mix) -> String {
    let machines = mix
        .machines
        .iter()
        .map(|(name, count)| format!(", {count} {name}"));
    let seats = mix.seats.iter().map(|seat| {
        let (tenant, replica, machine) = (&seat.tenant, seat.replica, &seat.machine);
        let (instance, at, takes) = (seat.instance, &seat.accelerators, seat.takes);
        format!("\n{tenant}.{replica}: {machine} {instance} {at:?} {takes}")
    });
    let price = std::iter::once(format!("{} per hour", mix.hourly));
    price.chain(machines).chain(seats).collect()
}

#[track_caller]
fn check(tenants: &[Tenant], machines: &[Machine], expect: &str) {
    let shown = match pool(tenants, machines, Limits::default()) {
        Ok(mix) => {
            assert!(mix.optimal, "{mix:?}");
            assert_eq!(unsound(&mix, tenants, machines), None);
            show(&mix)
        }
        Err(error) => error.to_string(),
    };
    assert_eq!(shown, expect);
}

use Takes::{Share, Whole};

#[test]
fn two_small_models_share_one_accelerator() {
    let tenants = [
        tenant("embed", 1, &[("l4", Share(30))]),
        tenant("rank", 1, &[("l4", Share(70))]),
    ];
    let expect = "0.85 per hour, 1 g2-8\n\
                  embed.0: g2-8 0 [0] 30 % of one\n\
                  rank.0: g2-8 0 [0] 70 % of one";
    check(&tenants, &shop(), expect);
}

#[test]
fn what_one_percent_too_much_costs() {
    let tenants = [
        tenant("embed", 1, &[("l4", Share(31))]),
        tenant("rank", 1, &[("l4", Share(70))]),
    ];
    let expect = "1.70 per hour, 2 g2-8\n\
                  embed.0: g2-8 1 [0] 31 % of one\n\
                  rank.0: g2-8 0 [0] 70 % of one";
    check(&tenants, &shop(), expect);
}

#[test]
fn a_rest_of_a_large_machine_is_free() {
    // Alone, `small` is cheapest on an L4. Beside seven eighths of a3-8g it costs nothing.
    let tenants = [
        tenant("large", 1, &[("h100", Whole(4))]),
        tenant("middle", 3, &[("h100", Whole(1))]),
        tenant("small", 2, &[("l4", Whole(1)), ("h100", Share(50))]),
    ];
    let expect = "88.00 per hour, 1 a3-8g\n\
                  large.0: a3-8g 0 [0, 1, 2, 3] x4\n\
                  middle.0: a3-8g 0 [4] x1\n\
                  middle.1: a3-8g 0 [5] x1\n\
                  middle.2: a3-8g 0 [6] x1\n\
                  small.0: a3-8g 0 [7] 50 % of one\n\
                  small.1: a3-8g 0 [7] 50 % of one";
    check(&tenants, &shop(), expect);
}

#[test]
fn host_memory_is_shared_too() {
    let mut machines = shop();
    machines[0].memory = Bytes::gib(31);
    let tenants = [
        tenant("embed", 1, &[("l4", Share(30))]),
        tenant("rank", 1, &[("l4", Share(70))]),
    ];
    let expect = "1.70 per hour, 2 g2-8\n\
                  embed.0: g2-8 1 [0] 30 % of one\n\
                  rank.0: g2-8 0 [0] 70 % of one";
    check(&tenants, &machines, expect);
}

#[test]
fn replicas_of_one_tenant_lie_on_two_kinds_when_stock_ends() {
    let mut machines = shop();
    machines[0].limit = Some(1);
    machines.remove(1);
    let tenants = [tenant("chat", 2, &[("l4", Whole(1)), ("h100", Whole(1))])];
    let expect = "12.35 per hour, 1 a3-1g, 1 g2-8\n\
                  chat.0: a3-1g 0 [0] x1\n\
                  chat.1: g2-8 0 [0] x1";
    check(&tenants, &machines, expect);
}

#[test]
fn nobody_needs_nothing() {
    check(&[], &shop(), "0 per hour");
    check(&[tenant("chat", 0, &[])], &[], "0 per hour");
}

#[test]
fn what_is_free_is_taken() {
    let machines = [
        machine("mine", "l4", 1, "0"),
        machine("g2-8", "l4", 1, "0.85"),
    ];
    let expect = "0 per hour, 1 mine\nchat.0: mine 0 [0] x1";
    check(&[tenant("chat", 1, &[("l4", Whole(1))])], &machines, expect);
}

#[test]
fn who_is_held_by_nothing_is_named_and_told_why() {
    let mut giant = tenant("giant", 1, &[("h100", Whole(16)), ("tpu", Whole(4))]);
    giant.why_not.push("l4 has no fp8".to_owned());
    let expect = "no machine holds giant: it needs 16 h100 in one machine, the largest has 8; \
                  no machine has tpu; l4 has no fp8";
    check(&[giant], &shop(), expect);

    let mut fat = tenant("fat", 1, &[("l4", Share(10))]);
    fat.fits[0].memory = Bytes::gib(500);
    let expect = "no machine holds fat: it needs 500.00 GiB of host memory beside l4 10 % of one, \
                  the largest has 192.00 GiB";
    check(&[fat], &shop(), expect);

    let expect = "no machine holds odd: 101 % of one of l4 is no amount; x0 of l4 is no amount";
    check(
        &[tenant("odd", 1, &[("l4", Share(101)), ("l4", Whole(0))])],
        &shop(),
        expect,
    );

    let expect = "no machine holds lost: it has no way to run";
    check(&[tenant("lost", 1, &[])], &shop(), expect);

    let mut none = shop();
    none[0].limit = Some(0);
    none[1].limit = Some(0);
    let expect = "no machine holds chat: none of the machines with l4 that hold it can be bought: \
                  their limits are 0";
    check(&[tenant("chat", 1, &[("l4", Whole(1))])], &none, expect);
}

#[test]
fn the_first_without_room_is_named() {
    let mut machines = vec![machine("g2-24", "l4", 2, "2.00")];
    machines[0].limit = Some(2);
    let tenants = [
        tenant("a", 1, &[("l4", Whole(1))]),
        tenant("b", 1, &[("l4", Whole(2))]),
        tenant("c", 1, &[("l4", Whole(2))]),
        tenant("d", 1, &[("l4", Whole(1))]),
    ];
    let expect = "no room is left for c beside a, b: at most 2 of g2-24 can be bought";
    check(&tenants, &machines, expect);
}

#[test]
fn absurd_input_is_an_error_or_an_answer() {
    let l4 = [("l4", Whole(1))];
    let minus = [machine("m", "l4", 1, "-1")];
    let price = "the price of m, -1 per hour, is negative, or finer or larger than prices are";
    check(&[tenant("a", 1, &l4)], &minus, price);
    for hourly in [Decimal::MAX, Decimal::MIN, Decimal::new(1, 28)] {
        let machines = [
            Machine {
                hourly,
                ..machine("m", "l4", 1, "1")
            },
            machine("n", "l4", 2, "3.5"),
        ];
        let error = pool(&[tenant("a", 1, &l4)], &machines, Limits::default());
        assert!(matches!(error, Err(JointError::Price { .. })), "{error:?}");
    }
    let twice = [tenant("a", 1, &l4), tenant("a", 2, &l4)];
    check(&twice, &shop(), "a is named twice");
    let twice = [machine("m", "l4", 1, "1"), machine("m", "l4", 2, "1")];
    check(&[], &twice, "m is named twice");
    let many = [tenant("a", u32::MAX, &l4), tenant("b", u32::MAX, &l4)];
    let expect = "8589934590 replicas are more than one pool is planned for (2000)";
    check(&many, &shop(), expect);
    let wide = [tenant("a", 1, &[("l4", Whole(u32::MAX))])];
    let expect = "no machine holds a: it needs 4294967295 l4 in one machine, the largest has 2";
    check(&wide, &shop(), expect);
    let mut huge = machine("m", "l4", 1, "1");
    huge.accelerators = u32::MAX;
    let expect =
        "4294967295 accelerators of one machine are more than one pool is planned for (1024)";
    check(&wide, std::slice::from_ref(&huge), expect);
    // It is not wider than what there is to put in it.
    huge.memory = Bytes(u64::MAX);
    let mut big = tenant("a", 2, &l4);
    big.fits[0].memory = Bytes(u64::MAX / 2);
    let expect = "1 per hour, 1 m\na.0: m 0 [0] x1\na.1: m 0 [1] x1";
    check(&[big], &[huge], expect);
}

/// Four accelerators and 16 GiB; `a` and `b` twice would need 18 GiB.
fn thin() -> (Vec<Tenant>, Machine) {
    let mut tenants = vec![
        tenant("a", 2, &[("l4", Share(35))]),
        tenant("b", 2, &[("l4", Share(5))]),
    ];
    tenants[0].fits[0].memory = Bytes::gib(5);
    tenants[1].fits[0].memory = Bytes::gib(4);
    let mut machine = machine("thin", "l4", 4, "0.70");
    machine.memory = Bytes::gib(16);
    (tenants, machine)
}

/// The price that the search finds without greedy mixes.
fn alone(tenants: &[Tenant], machines: &[Machine]) -> Option<Decimal> {
    let tenants: Vec<&Tenant> = tenants.iter().collect();
    let problem = Problem::of(&tenants, machines).ok()?;
    match search_alone(&problem, Limits::default().work) {
        Found::Mix { filled, bound } => Some(mix(&problem, &tenants, &filled, bound).hourly),
        Found::None | Found::Undecided => None,
    }
}

#[test]
fn what_does_not_pack_gets_one_machine_more() {
    let (tenants, machine) = thin();
    assert_eq!(alone(&tenants, &[machine]), Some(Decimal::new(140, 2)));
}

#[test]
fn what_does_not_pack_gives_one_replica_away() {
    let (mut tenants, mut thin) = thin();
    thin.limit = Some(1);
    tenants[1].fits.push(Fit {
        accelerator: "h100".to_owned(),
        takes: Whole(1),
        memory: Bytes::gib(4),
    });
    let machines = [thin, machine("a3-1g", "h100", 1, "5.00")];
    assert_eq!(alone(&tenants, &machines), Some(Decimal::new(570, 2)));
}

/// What is wrong with a mix, if anything.
fn unsound(mix: &Mix, tenants: &[Tenant], machines: &[Machine]) -> Option<String> {
    let by_name: BTreeMap<&str, &Machine> = machines
        .iter()
        .map(|one| (one.name.as_str(), one))
        .collect();
    let mut sum = Decimal::ZERO;
    for (name, count) in &mix.machines {
        let machine = by_name[name.as_str()];
        sum += machine.hourly * Decimal::from(*count);
        if machine.limit.is_some_and(|limit| *count > limit) || *count == 0 {
            return Some(format!("{count} of {name}"));
        }
    }
    if sum != mix.hourly || mix.at_least > sum || mix.optimal != (mix.at_least == sum) {
        return Some(format!(
            "{sum} is not {} or below {}",
            mix.hourly, mix.at_least
        ));
    }
    let mut ordered: Vec<&Tenant> = tenants.iter().collect();
    ordered.sort_by_key(|one| &one.name);
    let wanted = ordered
        .iter()
        .flat_map(|one| (0..one.replicas).map(|replica| (&one.name, replica)));
    if !wanted.eq(mix.seats.iter().map(|seat| (&seat.tenant, seat.replica))) {
        return Some("not each replica has one seat".to_owned());
    }
    let mut percent: BTreeMap<(&str, u32, u32), u32> = BTreeMap::new();
    let mut host: BTreeMap<(&str, u32), u64> = BTreeMap::new();
    for seat in &mix.seats {
        let machine = by_name[seat.machine.as_str()];
        let tenant = ordered.iter().find(|one| one.name == seat.tenant)?;
        let fit = tenant
            .fits
            .iter()
            .filter(|fit| fit.accelerator == machine.accelerator && fit.takes == seat.takes)
            .map(|fit| fit.memory.0)
            .min();
        let Some(memory) = fit else {
            return Some(format!("{seat:?} is none of its fits"));
        };
        *host.entry((&seat.machine, seat.instance)).or_default() += memory;
        let (count, each) = match seat.takes {
            Whole(count) => (count, 100),
            Share(percent) => (1, percent),
        };
        if seat.accelerators.len() != count as usize {
            return Some(format!("{seat:?} has not what it takes"));
        }
        for &at in &seat.accelerators {
            if at >= machine.accelerators {
                return Some(format!("{seat:?} is outside of the machine"));
            }
            *percent
                .entry((&seat.machine, seat.instance, at))
                .or_default() += each;
        }
    }
    let bought = |name: &str, instance: u32| {
        mix.machines
            .iter()
            .any(|one| one.0 == name && instance < one.1)
    };
    if let Some((key, _)) = percent.iter().find(|(_, sum)| **sum > 100) {
        return Some(format!("{key:?} is over 100 %"));
    }
    host.iter()
        .find(|((name, instance), sum)| by_name[name].memory.0 < **sum || !bought(name, *instance))
        .map(|(key, _)| format!("{key:?} has not the host memory, or is not bought"))
}
