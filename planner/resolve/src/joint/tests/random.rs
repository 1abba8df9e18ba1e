//! Pools drawn at random: small ones beside brute force, large ones checked for soundness.

use openmodel_schemas::quantity::Bytes;
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::unsound;
use crate::joint::Takes::{Share, Whole};
use crate::joint::problem::Problem;
use crate::joint::search::{Found, search_alone};
use crate::joint::{Fit, JointError, Limits, Machine, Tenant, mix, pool};

/// The cheapest price of all: each way to part the replicas into machines is looked at.
fn brute(tenants: &[Tenant], machines: &[Machine]) -> Option<Decimal> {
    let replicas: Vec<&Tenant> = tenants
        .iter()
        .flat_map(|one| std::iter::repeat_n(one, one.replicas as usize))
        .collect();
    let all = 1_usize << replicas.len();
    let holds: Vec<Vec<bool>> = machines
        .iter()
        .map(|machine| {
            let set = |mask: usize| {
                (0..replicas.len())
                    .filter(|i| mask >> i & 1 == 1)
                    .map(|i| replicas[i])
                    .collect()
            };
            (0..all)
                .map(|mask| {
                    together(
                        &set(mask),
                        machine,
                        machine.accelerators,
                        machine.memory.0,
                        &[],
                    )
                })
                .collect()
        })
        .collect();
    let mut left: Vec<u32> = machines
        .iter()
        .map(|one| one.limit.unwrap_or(u32::MAX))
        .collect();
    let mut best = None;
    parts(
        all - 1,
        Decimal::ZERO,
        machines,
        &holds,
        &mut left,
        &mut best,
    );
    best
}

fn parts(
    mask: usize,
    sum: Decimal,
    machines: &[Machine],
    holds: &[Vec<bool>],
    left: &mut [u32],
    best: &mut Option<Decimal>,
) {
    if best.is_some_and(|best| sum >= best) {
        return;
    }
    if mask == 0 {
        *best = Some(sum);
        return;
    }
    let first = mask & mask.wrapping_neg();
    let others = mask ^ first;
    let mut part = others;
    loop {
        for (index, machine) in machines.iter().enumerate() {
            if left[index] > 0 && holds[index][part | first] {
                left[index] -= 1;
                parts(
                    others ^ part,
                    sum + machine.hourly,
                    machines,
                    holds,
                    left,
                    best,
                );
                left[index] += 1;
            }
        }
        if part == 0 {
            break;
        }
        part = (part - 1) & others;
    }
}

fn together(set: &Vec<&Tenant>, machine: &Machine, free: u32, host: u64, shared: &[u32]) -> bool {
    let Some((last, rest)) = set.split_last() else {
        return true;
    };
    let rest = rest.to_vec();
    last.fits
        .iter()
        .filter(|fit| fit.accelerator == machine.accelerator && fit.memory.0 <= host)
        .any(|fit| {
            let host = host - fit.memory.0;
            match fit.takes {
                Whole(count) => {
                    count <= free && together(&rest, machine, free - count, host, shared)
                }
                Share(percent) => {
                    let beside = (0..shared.len()).any(|slot| {
                        let mut shared = shared.to_vec();
                        shared[slot] += percent;
                        shared[slot] <= 100 && together(&rest, machine, free, host, &shared)
                    });
                    beside
                        || free > 0
                            && together(
                                &rest,
                                machine,
                                free - 1,
                                host,
                                &[shared, &[percent]].concat(),
                            )
                }
            }
        })
}

fn some_machine() -> impl Strategy<Value = Machine> {
    let limit = prop_oneof![4 => Just(None), 1 => (0_u32..3).prop_map(Some)];
    let kind = prop_oneof![3 => Just("a"), 1 => Just("b")];
    let memory = prop_oneof![1 => 1_u64..7, 2 => 4_u64..16];
    (kind, 1_u32..6, memory, 8_i64..14, 0_i64..9, limit).prop_map(
        |(accelerator, accelerators, memory, price, more, limit)| Machine {
            name: String::new(),
            accelerator: accelerator.to_owned(),
            accelerators,
            memory: Bytes::gib(memory * u64::from(accelerators)),
            hourly: Decimal::new(price * i64::from(accelerators) + more, 1),
            limit,
        },
    )
}

fn some_fit() -> impl Strategy<Value = Fit> {
    let takes = prop_oneof![
        2 => (1_u32..4).prop_map(Whole),
        1 => (1_u32..=20).prop_map(|part| Share(part * 5)),
        3 => (20_u32..70).prop_map(Share),
    ];
    let kind = prop_oneof![3 => Just("a"), 1 => Just("b")];
    (kind, takes, 0_u64..7).prop_map(|(accelerator, takes, memory)| Fit {
        accelerator: accelerator.to_owned(),
        takes,
        memory: Bytes::gib(memory),
    })
}

fn some_pool(replicas: u32) -> impl Strategy<Value = (Vec<Tenant>, Vec<Machine>)> {
    let tenant =
        (0..=replicas, prop::collection::vec(some_fit(), 1..3)).prop_map(|(replicas, fits)| {
            Tenant {
                name: String::new(),
                replicas,
                fits,
                why_not: Vec::new(),
            }
        });
    let tenants = prop::collection::vec(tenant, 2..=4);
    (tenants, prop::collection::vec(some_machine(), 1..=4)).prop_map(
        |(mut tenants, mut machines)| {
            for (index, tenant) in tenants.iter_mut().enumerate() {
                tenant.name = format!("t{index}");
            }
            for (index, machine) in machines.iter_mut().enumerate() {
                machine.name = format!("m{index}");
            }
            (tenants, machines)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_cheaper((tenants, machines) in some_pool(2)) {
        let cheapest = brute(&tenants, &machines);
        match pool(&tenants, &machines, Limits::default()) {
            Ok(mix) => {
                prop_assert_eq!(unsound(&mix, &tenants, &machines), None);
                prop_assert!(mix.optimal);
                prop_assert_eq!(Some(mix.hourly), cheapest);
            }
            Err(JointError::NothingHolds { .. } | JointError::Full { .. }) => prop_assert_eq!(cheapest, None),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    /// Greed is often right. Without it the bounds, the splits and the packing have to be.
    #[test]
    fn the_search_alone_finds_it_too((tenants, machines) in some_pool(2)) {
        let cheapest = brute(&tenants, &machines);
        let tenants: Vec<&Tenant> = tenants.iter().collect();
        if let Ok(problem) = Problem::of(&tenants, &machines) {
            match search_alone(&problem, 50_000_000) {
                Found::Mix { filled, bound } => {
                    let mix = mix(&problem, &tenants, &filled, bound);
                    let tenants: Vec<Tenant> = tenants.into_iter().cloned().collect();
                    prop_assert_eq!(unsound(&mix, &tenants, &machines), None);
                    prop_assert!(mix.optimal);
                    prop_assert_eq!(Some(mix.hourly), cheapest);
                }
                Found::None => prop_assert_eq!(cheapest, None),
                Found::Undecided => prop_assert!(false, "undecided"),
            }
        }
    }

    #[test]
    fn the_order_of_the_arguments_changes_nothing((mut tenants, mut machines) in some_pool(6), by in 0_usize..4) {
        let mix = pool(&tenants, &machines, Limits::default());
        let (first, second) = (by % tenants.len(), by % machines.len());
        tenants.rotate_left(first);
        machines.rotate_left(second);
        prop_assert_eq!(&pool(&tenants, &machines, Limits::default()), &mix);
        tenants.reverse();
        machines.reverse();
        prop_assert_eq!(&pool(&tenants, &machines, Limits::default()), &mix);
        if let Ok(mix) = mix {
            prop_assert_eq!(unsound(&mix, &tenants, &machines), None);
        }
    }
}

/// A source of numbers that is the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn count(&mut self, most: u64) -> u32 {
        u32::try_from(self.roll(most) + 1).expect("small")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Prices as in a catalog: nearly proportional, larger machines of a kind slightly dearer.
    Catalog,
    /// The same, and sizes that have nothing to do with the kind.
    Unrelated,
    /// Any price.
    Random,
    /// All machines at one price.
    Equal,
    /// Many replicas.
    Crowd,
    /// Odd shares, close to thirds and halves.
    Shares,
    /// Odd widths in machines of all widths.
    Widths,
    /// Little host memory.
    Host,
    /// Quota on everything.
    Quota,
}

const KINDS: [Kind; 9] = [
    Kind::Catalog,
    Kind::Unrelated,
    Kind::Random,
    Kind::Equal,
    Kind::Crowd,
    Kind::Shares,
    Kind::Widths,
    Kind::Host,
    Kind::Quota,
];

/// 20 tenants and 80 machines.
fn large(seed: u64, kind: Kind) -> (Vec<Tenant>, Vec<Machine>) {
    let mut dice = Dice(seed.wrapping_mul(977).wrapping_add(kind as u64));
    // GiB of the kinds' accelerators; what a GiB costs falls with the size.
    let sizes = [16, 16, 24, 24, 32, 40, 48, 80, 80, 96, 141, 180];
    let bases: Vec<u64> = sizes
        .map(|gib| match kind {
            Kind::Catalog => gib * (30_000 + dice.roll(40_000)),
            _ => 300_000 + dice.roll(10_000_000),
        })
        .to_vec();
    let mut machines = Vec::new();
    for index in 0..80_u32 {
        let base = (index % 12) as usize;
        let accelerators = match kind {
            Kind::Widths => dice.count(8),
            _ => [1, 2, 4, 8, 8, 1, 16][(index / 12) as usize],
        };
        let price = bases[base] * u64::from(accelerators);
        let price = match kind {
            Kind::Equal => 1_000_000,
            Kind::Random | Kind::Widths => price / 2 + dice.roll(price),
            _ => price + dice.roll(price / 20 + 1),
        };
        let each = match kind {
            Kind::Host => 16 << dice.roll(3),
            Kind::Catalog => sizes[base] * (2 + dice.roll(3)),
            _ => 64 + dice.roll(128),
        };
        machines.push(Machine {
            name: format!("m{index:02}"),
            accelerator: format!("k{base:02}"),
            accelerators,
            memory: Bytes::gib(each * u64::from(accelerators)),
            hourly: Decimal::new(i64::try_from(price).expect("small"), 6),
            limit: (kind == Kind::Quota).then(|| dice.count(3)),
        });
    }
    let mut tenants = Vec::new();
    for index in 0..20 {
        let mut fits = Vec::new();
        let gib = [3, 6, 10, 16, 20, 36, 70, 140][usize::try_from(dice.roll(8)).expect("small")]
            + dice.roll(8);
        for (base, _) in sizes.iter().enumerate() {
            if dice.roll(3) == 0 && (base < 11 || !fits.is_empty()) {
                continue;
            }
            let takes = match (kind, dice.roll(2)) {
                (Kind::Catalog, _) => match gib * 100 / sizes[base] + 1 {
                    percent @ ..=90 => Share(u32::try_from(percent).expect("small")),
                    percent => Whole(
                        u32::try_from(percent.div_ceil(90))
                            .expect("small")
                            .next_power_of_two(),
                    ),
                },
                (Kind::Shares, _) => Share(26 + dice.count(28)),
                (Kind::Widths, _) => Whole(dice.count(6)),
                (_, 0) => Share(dice.count(18) * 5),
                _ => Whole([1, 1, 2, 4][usize::try_from(dice.roll(4)).expect("small")]),
            };
            fits.push(Fit {
                accelerator: format!("k{base:02}"),
                takes,
                memory: Bytes::gib(4 + dice.roll(28)),
            });
        }
        tenants.push(Tenant {
            name: format!("t{index:02}"),
            replicas: if kind == Kind::Crowd {
                50
            } else {
                dice.count(4)
            },
            fits,
            why_not: Vec::new(),
        });
    }
    (tenants, machines)
}

#[test]
fn large_pools_are_sound() {
    for kind in KINDS {
        for seed in 1..2 {
            let (mut tenants, mut machines) = large(seed, kind);
            let limits = Limits { work: 2_000_000 };
            let mix = pool(&tenants, &machines, limits).expect("a mix");
            assert_eq!(unsound(&mix, &tenants, &machines), None, "{kind:?} {seed}");
            tenants.reverse();
            machines.reverse();
            assert_eq!(
                pool(&tenants, &machines, limits),
                Ok(mix),
                "{kind:?} {seed}"
            );
        }
    }
}

#[test]
fn without_work_there_is_an_answer_and_no_proof() {
    let (tenants, machines) = large(1, Kind::Random);
    let mix = pool(&tenants, &machines, Limits { work: 0 }).expect("greed needs no proof");
    assert!(!mix.optimal && mix.at_least < mix.hourly);
    assert_eq!(unsound(&mix, &tenants, &machines), None);
}
