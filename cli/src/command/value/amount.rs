//! Amounts of CPU and memory, and numbers of replicas.

use weft_proto::convert::MAX_REPLICAS;

const NANO: u64 = 1_000_000_000;

/// Billionths of a CPU from `2`, `0.5` or `.25`.
///
/// # Errors
/// What is wrong, and how to write it.
pub(in crate::command) fn nano_cpus(text: &str) -> Result<u64, String> {
    let wrong = || "is no number of CPUs: write it like 2 or 0.5".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || whole.len() + part.len() == 0 {
        return Err(wrong());
    }
    if part.len() > 9 {
        return Err("is finer than a billionth of a CPU".to_owned());
    }
    let number = |text: &str| match text {
        "" => Ok(0),
        text => text.parse::<u64>().map_err(|_| wrong()),
    };
    let whole = number(whole)?.checked_mul(NANO).ok_or_else(wrong)?;
    let nano = whole
        .checked_add(number(&format!("{part:0<9}"))?)
        .ok_or_else(wrong)?;
    if nano == 0 {
        return Err("must be more than 0; leave the flag out for no limit".to_owned());
    }
    Ok(nano)
}

/// Bytes from `1000`, `64k`, `64M`, `64MiB` or `1g`; units are powers of 1024, as Docker's are.
///
/// # Errors
/// What is wrong, and how to write it.
pub(in crate::command) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "is no amount of memory: write it like 64M or 1G".to_owned();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.to_ascii_lowercase();
    let shift = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    if number == 0 {
        return Err("must be more than 0; leave the flag out for no limit".to_owned());
    }
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "is more memory than there is".to_owned())
}

/// A number of replicas.
///
/// # Errors
/// What is wrong, and the bounds.
pub(in crate::command) fn replicas(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(count) if count <= MAX_REPLICAS => Ok(count),
        _ => Err(format!("is no number of replicas: use 0 to {MAX_REPLICAS}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_exact_to_the_billionth() {
        for (text, nano) in [
            ("2", 2 * NANO),
            ("0.5", NANO / 2),
            (".25", NANO / 4),
            ("1.", NANO),
            ("0.000000001", 1),
        ] {
            assert_eq!(nano_cpus(text), Ok(nano), "{text}");
        }
        for text in [
            "",
            ".",
            "0",
            "-1",
            "1e3",
            "a",
            "0.0000000001",
            "99999999999999",
        ] {
            assert!(nano_cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn memory_has_binary_units() {
        for (text, count) in [
            ("1000", 1000),
            ("64k", 64 << 10),
            ("64M", 64 << 20),
            ("64MiB", 64 << 20),
            ("1g", 1 << 30),
            ("2T", 2 << 40),
        ] {
            assert_eq!(bytes(text), Ok(count), "{text}");
        }
        for text in ["", "M", "-1M", "0", "1.5G", "1X", "99999999999T"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn replicas_are_bounded_on_both_sides() {
        assert_eq!(replicas("0"), Ok(0));
        assert_eq!(replicas("10000"), Ok(10_000));
        for text in ["-1", "10001", "", "two", "1.5"] {
            assert!(replicas(text).is_err(), "{text}");
        }
    }
}
