//! Sizes and counts of extents as people write and read them, under LVM's rules.
//!
//! A size that is *given* counts in powers of 1024 whatever the case of its letter, and in MiB without
//! one; only in what is *shown* (`--units`) do capitals mean powers of 1000.

use std::fmt;
use std::str::FromStr;

use lvshift_core::units::{ExtentSize, Extents, SECTOR_SIZE, Sectors};

/// The unit letters after bytes and sectors, in rising order.
const LETTERS: [char; 6] = ['k', 'm', 'g', 't', 'p', 'e'];

/// Bytes in the unit that `letter` stands for.
fn unit(letter: char) -> Option<u64> {
    match letter {
        'b' | 'B' => return Some(1),
        's' | 'S' => return Some(SECTOR_SIZE),
        _ => {}
    }
    let power = LETTERS.iter().position(|l| *l == letter.to_ascii_lowercase())? as u32 + 1;
    Some(if letter.is_ascii_uppercase() { 1000u64.pow(power) } else { 1024u64.pow(power) })
}

/// Whether a size or a count is the new whole or what to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The new whole.
    Absolute,
    /// `+`: what to add.
    Plus,
}

fn take_sign(text: &str) -> Result<(Sign, &str), String> {
    match text.strip_prefix('+') {
        Some(rest) => Ok((Sign::Plus, rest)),
        None if text.starts_with('-') => Err("it must not be negative".to_owned()),
        None => Ok((Sign::Absolute, text)),
    }
}

/// A size from the command line: `100`, `1.5g`, `2048s`, `10G`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub Sectors);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let (number, letter) = match text.char_indices().last() {
            Some((at, c)) if c.is_ascii_alphabetic() => (&text[..at], c),
            _ => (text, 'm'),
        };
        let unit = unit(letter.to_ascii_lowercase())
            .ok_or_else(|| format!("no unit `{letter}`; there are b s k m g t p e"))?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
            return Err("expected a number with an optional unit, like 100, 1.5g or 2048s".into());
        }
        let too_large = || "the size is too large".to_owned();
        if whole.len() > 20 {
            return Err(too_large());
        }
        if fraction.len() > 18 {
            return Err("too many digits after the point".into());
        }
        // At most 10^20 * 2^60 and 10^18 * 2^60: both far below 2^128.
        let parse = |s: &str| if s.is_empty() { 0 } else { s.parse::<u128>().unwrap_or(0) };
        let unit = u128::from(unit);
        let part = parse(fraction) * unit;
        let bytes = parse(whole) * unit + part.div_ceil(10u128.pow(fraction.len() as u32));
        let bytes = u64::try_from(bytes).map_err(|_| too_large())?;
        if unit == 1 && bytes % SECTOR_SIZE != 0 {
            let below = bytes - bytes % SECTOR_SIZE;
            return Err(match below.checked_add(SECTOR_SIZE) {
                Some(above) => {
                    format!("not a multiple of 512 bytes: try {below}b or {above}b")
                }
                None => format!("not a multiple of 512 bytes: try {below}b"),
            });
        }
        Ok(Size(Sectors(bytes.div_ceil(SECTOR_SIZE))))
    }
}

/// A size with an optional `+`, as `lvextend -L` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedSize {
    /// Whole or addition.
    pub sign: Sign,
    /// How much.
    pub size: Size,
}

impl FromStr for SignedSize {
    type Err = String;

    fn from_str(text: &str) -> Result<SignedSize, String> {
        let (sign, rest) = take_sign(text)?;
        Ok(SignedSize { sign, size: rest.parse()? })
    }
}

/// What a percentage of extents is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The VG's free extents (on the named PVs, if any are named).
    Free,
    /// All extents of the VG.
    Vg,
    /// All extents of the named PVs.
    Pvs,
    /// The LV's present extents (`lvextend` only).
    Lv,
}

/// How many extents: a number, or a percentage of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// This many.
    Count(u32),
    /// This part of it, rounded down.
    Percent(u32, Of),
}

/// The argument of `-l`: `100`, `+10`, `50%FREE`, `+100%PVS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtentsArg {
    /// Whole or addition.
    pub sign: Sign,
    /// How many.
    pub amount: Amount,
}

impl FromStr for ExtentsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<ExtentsArg, String> {
        let (sign, rest) = take_sign(text)?;
        let number = |s: &str| {
            let only_digits = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
            if !only_digits {
                return Err("expected a number of extents or a percentage, like 100 or 50%FREE");
            }
            s.parse::<u32>().map_err(|_| "the number of extents is too large")
        };
        let amount = match rest.split_once('%') {
            None => Amount::Count(number(rest)?),
            Some((n, of)) => {
                let of = match of.to_ascii_uppercase().as_str() {
                    "FREE" => Of::Free,
                    "VG" => Of::Vg,
                    "PVS" => Of::Pvs,
                    "LV" => Of::Lv,
                    _ => return Err(format!("`%{of}`: there are %FREE, %VG, %PVS and %LV")),
                };
                Amount::Percent(number(n)?, of)
            }
        };
        Ok(ExtentsArg { sign, amount })
    }
}

/// `percent` of `whole` extents, rounded down; `None` past 2^32.
#[must_use]
pub fn percent_of(whole: u64, percent: u32) -> Option<Extents> {
    let part = u128::from(whole) * u128::from(percent) / 100;
    u32::try_from(part).ok().map(Extents)
}

/// How many extents hold `size`, rounded up, and whether that was more than asked; `None` past
/// 2^32 extents.
#[must_use]
pub fn to_extents(size: Sectors, extent: ExtentSize) -> Option<(Extents, bool)> {
    let per = u64::from(extent.sectors());
    let count = u32::try_from(size.0.div_ceil(per)).ok()?;
    Some((Extents(count), !size.0.is_multiple_of(per)))
}

/// How reports print sizes: the argument of `--units` and `--nosuffix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    scale: Scale,
    suffix: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    /// The largest unit that fits, `<` in front of what was rounded up (`r`, `R`).
    Rounded { si: bool },
    /// The largest unit that fits (`h`, `H`).
    Human { si: bool },
    /// Always this unit.
    Fixed(char),
}

impl Default for Units {
    fn default() -> Units {
        Units { scale: Scale::Rounded { si: false }, suffix: true }
    }
}

impl FromStr for Units {
    type Err = String;

    fn from_str(text: &str) -> Result<Units, String> {
        let mut letters = text.chars();
        let scale = match (letters.next(), letters.next()) {
            (Some(c @ ('r' | 'R')), None) => Scale::Rounded { si: c == 'R' },
            (Some(c @ ('h' | 'H')), None) => Scale::Human { si: c == 'H' },
            (Some(c), None) if unit(c).is_some() => Scale::Fixed(c),
            _ => return Err("expected one of r h b s k m g t p e, or a capital for SI".into()),
        };
        Ok(Units { scale, suffix: true })
    }
}

impl Units {
    /// Without the letter after the number.
    #[must_use]
    pub fn without_suffix(self) -> Units {
        Units { suffix: false, ..self }
    }

    /// `size` as a report prints it: `<10.00g`, `1020.00m`, `2097152S`.
    #[must_use]
    pub fn show(self, size: Sectors) -> String {
        let bytes = u128::from(size.0) * u128::from(SECTOR_SIZE);
        let (letter, mark) = match self.scale {
            Scale::Fixed(c) => (c, false),
            _ if bytes == 0 => return "0".to_owned(),
            Scale::Human { si } => (fitting(bytes, si), false),
            Scale::Rounded { si } => (fitting(bytes, si), true),
        };
        let mut text = number(bytes, letter, mark);
        if self.suffix {
            text.push(match letter {
                'b' | 's' => letter.to_ascii_uppercase(),
                _ => letter,
            });
        }
        text
    }
}

/// The largest unit of which `bytes` is at least one.
fn fitting(bytes: u128, si: bool) -> char {
    let case = |l: char| if si { l.to_ascii_uppercase() } else { l };
    LETTERS
        .iter()
        .rev()
        .map(|l| case(*l))
        .find(|l| unit(*l).is_some_and(|u| bytes >= u128::from(u)))
        .unwrap_or_else(|| case('b'))
}

/// `bytes` in the unit `letter` with two decimals (none for bytes and sectors).
fn number(bytes: u128, letter: char, mark: bool) -> String {
    let unit = u128::from(unit(letter).unwrap_or(1));
    if matches!(letter, 'b' | 'B' | 's' | 'S') {
        return (bytes / unit).to_string();
    }
    let hundredths = (bytes * 100 + unit / 2) / unit;
    let mark = if mark && hundredths * unit > bytes * 100 { "<" } else { "" };
    format!("{mark}{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A size in a message, as LVM writes it there: `104.00 MiB`, `<10.00 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long(pub Sectors);

impl fmt::Display for Long {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = u128::from(self.0.0) * u128::from(SECTOR_SIZE);
        match fitting(bytes, false) {
            'b' => write!(f, "{bytes} bytes"),
            c => write!(f, "{} {}iB", number(bytes, c, true), c.to_ascii_uppercase()),
        }
    }
}

/// Bytes in a line of progress: no decimals from 10 units on (`455 MiB`, `1.5 GiB`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short(pub u64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = fitting(u128::from(self.0), false);
        let unit = unit(letter).unwrap_or(1);
        if letter == 'b' {
            return write!(f, "{} B", self.0);
        }
        let whole = self.0 / unit;
        let name = letter.to_ascii_uppercase();
        // MiB and below count in wholes; a move of GiB would seem to stand still in wholes.
        if whole >= 10 && unit <= 1 << 20 {
            write!(f, "{whole} {name}iB")
        } else {
            let tenths = (u128::from(self.0) * 10 / u128::from(unit)) % 10;
            write!(f, "{whole}.{tenths} {name}iB")
        }
    }
}

#[cfg(test)]
mod tests;
