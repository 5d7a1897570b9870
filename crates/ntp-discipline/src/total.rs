//! What core can do only with a path to a panic, without one.

/// `value` within `low..=high`; `high` where they contradict each other, and `low` for what is no number.
pub(crate) fn within(value: f64, low: f64, high: f64) -> f64 {
    value.max(low).min(high)
}

/// As [`within`], for what has a total order.
pub(crate) fn bounded<T: Ord>(value: T, low: T, high: T) -> T {
    value.max(low).min(high)
}

/// Gaps of the passes before the last one (Ciura); each pays only on lists much longer than it.
const GAPS: [usize; 5] = [132, 57, 23, 10, 4];
const PAYS: usize = 6;

/// Sorts by Shell's method; which of two goes first when neither is before the other is not said.
pub(crate) fn sort<T: Copy>(items: &mut [T], is_before: impl Fn(&T, &T) -> bool) {
    let len = items.len();
    for gap in GAPS.into_iter().filter(|gap| PAYS * gap <= len) {
        for end in gap..len {
            let mut place = end;
            while let Some(lower) = place.checked_sub(gap) {
                let (Some(&item), Some(&other)) = (items.get(place), items.get(lower)) else { break };
                if !is_before(&item, &other) {
                    break;
                }
                for (slot, value) in [(place, other), (lower, item)] {
                    if let Some(slot) = items.get_mut(slot) {
                        *slot = value;
                    }
                }
                place = lower;
            }
        }
    }
    for end in 1..len {
        let Some((mut item, sorted)) = items.get_mut(..=end).and_then(<[T]>::split_last_mut) else { break };
        for other in sorted.iter_mut().rev() {
            if !is_before(item, other) {
                break;
            }
            core::mem::swap(item, other);
            item = other;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sorts_as_core_does(mut items in prop::collection::vec(any::<i16>(), 0..400)) {
            let mut sorted: Vec<i16> = items.clone();
            sorted.sort_unstable();
            sort(&mut items, |a, b| a < b);
            prop_assert_eq!(items, sorted);
        }

        #[test]
        fn clamps_as_core_does(value in any::<f64>(), low in -1e3..1e3_f64, width in 0.0..1e3_f64) {
            if !value.is_nan() {
                prop_assert_eq!(within(value, low, low + width), value.clamp(low, low + width));
            }
            prop_assert!(within(value, low, low - width).is_finite());
            prop_assert_eq!(bounded(low.to_bits(), 5, 9), low.to_bits().clamp(5, 9));
        }
    }

    #[test]
    fn bounds_that_contradict_each_other_are_no_end() {
        assert_eq!(bounded(3, 9, 5), 5);
        assert_eq!(within(f64::NAN, 1.0, 2.0), 1.0);
    }
}
