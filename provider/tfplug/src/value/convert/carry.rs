//! The side channel by which our own serde format moves a [`Dynamic`] whole.
//!
//! serde's data model has no unknown, no set and no big decimal. A value that needs one of these
//! announces itself by a private newtype name. Our format recognises the name and passes the
//! value through a slot of this thread; any other format finds the slot closed, and sees an
//! ordinary value. The slot is filled and emptied within one call, so nothing ever waits in it.

use std::cell::RefCell;

use super::super::Dynamic;

/// What a [`Dynamic`] or a part of one announces itself by.
pub(super) const WHOLE: &str = "$tfplug::Dynamic";
/// What a [`Value`](super::super::Value) asks by whether it is null or unknown.
pub(super) const FIELD: &str = "$tfplug::Value";

enum Slot {
    Closed,
    Open,
    Filled(Dynamic),
}

thread_local! {
    static SLOT: RefCell<Slot> = const { RefCell::new(Slot::Closed) };
}

/// Our serializer: from now until [`take`], a value may be put.
pub(super) fn open() {
    SLOT.replace(Slot::Open);
}

/// A value: put yourself, if the format is ours. Says whether it was.
pub(super) fn put(value: impl FnOnce() -> Dynamic) -> bool {
    SLOT.with_borrow_mut(|slot| {
        let open = matches!(slot, Slot::Open);
        if open {
            *slot = Slot::Filled(value());
        }
        open
    })
}

/// Our deserializer: leave a value for the visitor that is called next.
pub(super) fn leave(value: Dynamic) {
    SLOT.replace(Slot::Filled(value));
}

/// What was put or left, if anything was. Closes the slot.
pub(super) fn take() -> Option<Dynamic> {
    match SLOT.replace(Slot::Closed) {
        Slot::Filled(value) => Some(value),
        Slot::Closed | Slot::Open => None,
    }
}
