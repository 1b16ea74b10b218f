//! The factor of `--pace` as people write it.

use lvshift_core::copier::Factor;

/// What `--pace` alone means.
pub const DEFAULT: &str = "1.5";

/// Reads `1.5`, `2`, `1.25`.
///
/// # Errors
/// What is expected instead.
pub fn parse(text: &str) -> Result<Factor, String> {
    let expected = || "expected a factor from 1.1 to 100, like 1.5".to_owned();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 2 || whole.len() > 3 {
        return Err(expected());
    }
    let whole: u32 = whole.parse().map_err(|_| expected())?;
    let hundredths: u32 = format!("{fraction:0<2}").parse().map_err(|_| expected())?;
    Factor::from_hundredths(whole * 100 + hundredths).ok_or_else(expected)
}

/// The same way back, for a command that passes it on.
#[must_use]
pub fn text(factor: Factor) -> String {
    format!("{}.{:02}", factor.hundredths() / 100, factor.hundredths() % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_is_understood_or_refused() {
        for (words, hundredths) in [("1.5", 150), ("2", 200), ("1.25", 125), ("100", 10_000)] {
            let factor = parse(words).expect("a factor");
            assert_eq!(factor.hundredths(), hundredths);
            assert_eq!(parse(&text(factor)), Ok(factor));
        }
        for words in ["", "1", "1.0", "0.5", "101", "1.555", "-2", "2x", "1,5", ".5", "2.", "1000"]
        {
            assert!(parse(words).is_err(), "{words}");
        }
        assert!(parse(DEFAULT).is_ok());
    }
}
