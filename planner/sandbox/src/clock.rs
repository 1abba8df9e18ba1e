//! Virtual time: what the emulated clouds believe the time to be.
//!
//!   auto    stands still, except that asking for the state of something unfinished takes time
//!   manual  moves only when told to (`POST /sandbox/clock/advance`), and a millisecond per change
//!   real    runs with the wall clock, from the instant it was set to
//!
//! Nothing in a resource depends on the wall clock, so a run can be repeated to the last digit.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How virtual time moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockMode {
    /// Stands still; each look at something unfinished lets some time pass.
    #[default]
    Auto,
    /// Moves on `POST /sandbox/clock/advance`, and by a millisecond with each change.
    Manual,
    /// Runs with the wall clock.
    Real,
}

/// A point in virtual time, in microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Time(i64);

impl Time {
    pub(crate) fn plus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// Microseconds since the Unix epoch.
    pub(crate) fn micros(self) -> i64 {
        self.0
    }

    /// RFC 3339 in UTC with three decimals, as Cloud Storage prints it.
    pub(crate) fn rfc3339_millis(self) -> String {
        let mut text = self.rfc3339();
        let end = text.len() - 1;
        text.replace_range(end - 3..end, "");
        text
    }

    /// RFC 3339 in UTC with six decimals, as Google prints it.
    pub(crate) fn rfc3339(self) -> String {
        let (date, micros) = (self.date(), self.0.rem_euclid(1_000_000));
        let (year, month, day) = date.to_calendar_date();
        let (hour, minute, second) = date.to_hms();
        let month = u8::from(month);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }

    fn date(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.0.div_euclid(1_000_000))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// The clock of one sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Clock {
    mode: ClockMode,
    at: Time,
    /// Virtual time that one look at something unfinished takes, in automatic mode.
    look: Duration,
    /// When `at` was true; only in real mode.
    #[serde(skip)]
    since: Option<Instant>,
}

impl Clock {
    /// A clock that stands at `start`, an RFC 3339 time; at 2026-01-01 when that is not one.
    pub(crate) fn new(mode: ClockMode, start: &str, look: Duration) -> Self {
        const NEW_YEAR_2026: i128 = 1_767_225_600_000_000_000;
        let nanos = OffsetDateTime::parse(start, &Rfc3339)
            .map_or(NEW_YEAR_2026, OffsetDateTime::unix_timestamp_nanos);
        let at = Time(i64::try_from(nanos / 1_000).unwrap_or(0));
        let mut clock = Self {
            mode,
            at,
            look,
            since: None,
        };
        clock.set_mode(mode);
        clock
    }

    pub(crate) fn mode(&self) -> ClockMode {
        self.mode
    }

    pub(crate) fn now(&self) -> Time {
        self.since
            .map_or(self.at, |since| self.at.plus(since.elapsed()))
    }

    /// Change how time moves from now on.
    pub(crate) fn set_mode(&mut self, mode: ClockMode) {
        self.at = self.now();
        self.mode = mode;
        self.since = (mode == ClockMode::Real).then(Instant::now);
    }

    pub(crate) fn advance(&mut self, span: Duration) {
        self.at = self.at.plus(span);
    }

    /// A change takes a millisecond, so that no two have the same time.
    pub(crate) fn tick(&mut self) -> Time {
        if self.mode != ClockMode::Real {
            self.advance(Duration::from_millis(1));
        }
        self.now()
    }

    /// A client looked at something that is not finished.
    pub(crate) fn look(&mut self) {
        if self.mode == ClockMode::Auto {
            self.advance(self.look);
        }
    }

    /// A client waits until `then`; true when that time has come.
    pub(crate) fn wait_until(&mut self, then: Time) -> bool {
        if self.mode == ClockMode::Auto && self.at < then {
            self.at = then;
        }
        self.now() >= then
    }

    /// Write the running time down before the clock is saved, or start it again after.
    pub(crate) fn anchor(&mut self) {
        self.set_mode(self.mode);
    }
}

/// The wall clock plus `span`, for the expiry of tokens: clients compare it with their own clock.
pub(crate) fn wall_clock_in(span: Duration) -> String {
    (OffsetDateTime::now_utc() + span)
        .replace_nanosecond(0)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(mode: ClockMode) -> Clock {
        Clock::new(mode, "2026-03-01T12:00:00Z", Duration::from_secs(20))
    }

    #[test]
    fn automatic_time_passes_only_while_somebody_waits() {
        let mut clock = clock(ClockMode::Auto);
        assert_eq!(clock.now().rfc3339(), "2026-03-01T12:00:00.000000Z");
        clock.look();
        assert_eq!(clock.now().rfc3339(), "2026-03-01T12:00:20.000000Z");
        let later = clock.now().plus(Duration::from_mins(1));
        assert!(clock.wait_until(later));
        assert_eq!(clock.tick().rfc3339(), "2026-03-01T12:01:20.001000Z");
    }

    #[test]
    fn manual_time_passes_only_when_told() {
        let mut clock = clock(ClockMode::Manual);
        clock.look();
        let later = clock.now().plus(Duration::from_secs(1));
        assert!(!clock.wait_until(later));
        clock.advance(Duration::from_secs(1));
        assert!(clock.wait_until(later));
    }
}
