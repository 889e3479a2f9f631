//! Amounts for people.

/// Bytes in the largest unit that divides them: `64MiB`, `1536MiB`, `1000B`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    UNITS
        .iter()
        .find(|(shift, _)| count != 0 && count.trailing_zeros() >= *shift)
        .map_or_else(
            || format!("{count}B"),
            |(shift, unit)| format!("{}{unit}", count >> shift),
        )
}

/// Bytes rounded to a tenth of the largest unit: `7.6GiB`. For what is measured, not asked for.
pub(crate) fn about_bytes(count: u64) -> String {
    const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match UNITS.iter().find(|(shift, _)| count >> shift > 0) {
        None => format!("{count}B"),
        Some((shift, unit)) => {
            let tenths = (u128::from(count) * 10) >> shift;
            format!("{}.{}{unit}", tenths / 10, tenths % 10)
        }
    }
}

/// Billionths of a CPU as people type them: `0.5`.
pub(crate) fn cpus(nano: u64) -> String {
    let text = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_they_are_typed() {
        assert_eq!(bytes(0), "0B");
        assert_eq!(bytes(1000), "1000B");
        assert_eq!(bytes(64 << 20), "64MiB");
        assert_eq!(bytes(1536 << 20), "1536MiB");
        assert_eq!(bytes(2 << 30), "2GiB");
        assert_eq!(cpus(500_000_000), "0.5");
        assert_eq!(cpus(2_000_000_000), "2");
        assert_eq!(cpus(10), "0.00000001");
        assert_eq!(cpus(0), "0");
    }

    #[test]
    fn what_is_measured_is_rounded() {
        assert_eq!(about_bytes(1000), "1000B");
        assert_eq!(about_bytes(8_201_302_016), "7.6GiB");
        assert_eq!(about_bytes(u64::MAX), "16777215.9TiB");
    }
}
