//! Names of volumes and ranges of extents as they stand on a command line.

use std::path::{Path, PathBuf};

/// A run of physical extents as written: the end may be left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeRange {
    /// The first extent.
    pub first: u32,
    /// The last extent, inclusive; `None` is the PV's last.
    pub last: Option<u32>,
}

/// `PV[:PE[-PE]]...`: a PV and which of its extents are meant; no range means all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PvSpec {
    /// The device.
    pub device: PathBuf,
    /// The ranges in the order given.
    pub ranges: Vec<PeRange>,
}

impl PvSpec {
    /// Parses `text`. Ranges are `N` (one extent), `A-B`, `A-` (to the end), `-B` (from 0) and
    /// `A+COUNT`.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<PvSpec, String> {
        PvSpec::parse_with(text, |path| path.exists())
    }

    /// [`PvSpec::parse`], asking `exists` whether a path with colons in it is a device
    /// (`/dev/disk/by-path/pci-0000:00:05.0`). A colon of the path may also be escaped: `\:`.
    fn parse_with(text: &str, exists: impl Fn(&Path) -> bool) -> Result<PvSpec, String> {
        if text.is_empty() {
            return Err("the name of the PV is empty".into());
        }
        let unescape = |s: &str| PathBuf::from(s.replace("\\:", ":"));
        // The longest head that is there wins; else the first colon ends the path.
        let colons: Vec<usize> = text
            .match_indices(':')
            .map(|(at, _)| at)
            .filter(|at| !text[..*at].ends_with('\\'))
            .collect();
        let ends = std::iter::once(text.len()).chain(colons.iter().rev().copied());
        let end = ends
            .into_iter()
            .find(|end| exists(&unescape(&text[..*end])))
            .or(colons.first().copied())
            .unwrap_or(text.len());
        let (device, tail) = text.split_at(end);
        if device.is_empty() {
            return Err(format!("`{text}`: the name of the PV is missing before the colon"));
        }
        let ranges = tail
            .split(':')
            .skip(1)
            .map(|r| range(r).map_err(|e| format!("`{r}`: {e}")))
            .collect::<Result<_, _>>()?;
        Ok(PvSpec { device: unescape(device), ranges })
    }
}

fn range(text: &str) -> Result<PeRange, String> {
    let number = |s: &str| {
        if s.is_empty() || !s.bytes().all(|b| b.is_ascii_digit()) {
            return Err("expected extents like 5, 0-99, 100- or 0+100".to_owned());
        }
        s.parse::<u32>().map_err(|_| "the extent number is too large".to_owned())
    };
    let (first, last) = if let Some((first, count)) = text.split_once('+') {
        let (first, count) = (number(first)?, number(count)?);
        let last = first.checked_add(count).ok_or("the extent number is too large")?;
        if count == 0 {
            return Err("the number of extents is 0".into());
        }
        (first, Some(last - 1))
    } else if let Some((first, last)) = text.split_once('-') {
        if first.is_empty() && last.is_empty() {
            return Err("both ends of the range are missing".into());
        }
        let first = if first.is_empty() { 0 } else { number(first)? };
        (first, if last.is_empty() { None } else { Some(number(last)?) })
    } else {
        let one = number(text)?;
        (one, Some(one))
    };
    if last.is_some_and(|last| last < first) {
        return Err("the range ends before it starts".into());
    }
    Ok(PeRange { first, last })
}

/// A VG by its name, or an LV by the names of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeName {
    /// The VG.
    pub vg: String,
    /// The LV, if one was named.
    pub lv: Option<String>,
}

impl VolumeName {
    /// Parses `VG`, `VG/LV`, `/dev/VG`, `/dev/VG/LV` and `/dev/mapper/VG-LV`.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<VolumeName, String> {
        if let Some(dm) = text.strip_prefix("/dev/mapper/") {
            let (vg, lv) = split_dm_name(dm)
                .ok_or_else(|| format!("`{text}` is not the name of an LV's device"))?;
            return VolumeName { vg, lv: Some(lv) }.checked(text);
        }
        let short = text.strip_prefix("/dev/").unwrap_or(text).trim_end_matches('/');
        let (vg, lv) = match short.split_once('/') {
            Some((vg, lv)) => (vg, Some(lv.to_owned())),
            None => (short, None),
        };
        VolumeName { vg: vg.to_owned(), lv }.checked(text)
    }

    fn checked(self, text: &str) -> Result<VolumeName, String> {
        for name in std::iter::once(&self.vg).chain(&self.lv) {
            lvshift_core::metadata::Name::new(name).map_err(|e| format!("`{text}`: {e}"))?;
        }
        Ok(self)
    }
}

/// Undoes dm's joining of `VG-LV`, in which the hyphens of both are doubled.
#[must_use]
pub fn split_dm_name(text: &str) -> Option<(String, String)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'-' {
            if bytes.get(at + 1) == Some(&b'-') {
                at += 2;
                continue;
            }
            let plain = |s: &str| s.replace("--", "-");
            return Some((plain(&text[..at]), plain(&text[at + 1..])));
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> PvSpec {
        PvSpec::parse_with(text, |_| false).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn pe(first: u32, last: Option<u32>) -> PeRange {
        PeRange { first, last }
    }

    #[test]
    fn ranges_of_extents() {
        assert_eq!(spec("/dev/sdb"), PvSpec { device: "/dev/sdb".into(), ranges: vec![] });
        for (text, ranges) in [
            ("/dev/sdb:5", vec![pe(5, Some(5))]),
            ("/dev/sdb:0-9", vec![pe(0, Some(9))]),
            ("/dev/sdb:0-9:20-29", vec![pe(0, Some(9)), pe(20, Some(29))]),
            ("/dev/sdb:100-", vec![pe(100, None)]),
            ("/dev/sdb:-9", vec![pe(0, Some(9))]),
            ("/dev/sdb:10+5", vec![pe(10, Some(14))]),
        ] {
            assert_eq!(spec(text), PvSpec { device: "/dev/sdb".into(), ranges }, "{text}");
        }
    }

    #[test]
    fn bad_ranges_are_refused() {
        for text in [
            "",
            ":1",
            "/dev/sdb:",
            "/dev/sdb:-",
            "/dev/sdb:9-0",
            "/dev/sdb:x",
            "/dev/sdb:1-2-3",
            "/dev/sdb:0+0",
            "/dev/sdb:4294967296",
            "/dev/sdb:4294967295+1",
            "/dev/sdb:1::2",
        ] {
            assert!(PvSpec::parse_with(text, |_| false).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_may_hold_colons() {
        let there = |p: &Path| p == Path::new("/dev/disk/by-path/pci-0000:00:05");
        let parsed = PvSpec::parse_with("/dev/disk/by-path/pci-0000:00:05:3-4", there).unwrap();
        assert_eq!(parsed.device, Path::new("/dev/disk/by-path/pci-0000:00:05"));
        assert_eq!(parsed.ranges, [pe(3, Some(4))]);
        let escaped = spec("/dev/a\\:0:7");
        assert_eq!((escaped.device, escaped.ranges), ("/dev/a:0".into(), vec![pe(7, Some(7))]));
    }

    #[test]
    fn names_of_volumes() {
        let name = |vg: &str, lv: Option<&str>| {
            Ok(VolumeName { vg: vg.into(), lv: lv.map(str::to_owned) })
        };
        assert_eq!(VolumeName::parse("vg0"), name("vg0", None));
        assert_eq!(VolumeName::parse("vg0/home"), name("vg0", Some("home")));
        assert_eq!(VolumeName::parse("/dev/vg0/home"), name("vg0", Some("home")));
        assert_eq!(VolumeName::parse("/dev/mapper/my--vg-a--b"), name("my-vg", Some("a-b")));
        for text in ["", "/", "vg/", "vg//lv", "a/b/c", "-vg", "vg/a b", "/dev/mapper/x"] {
            let parsed = VolumeName::parse(text);
            assert!(parsed.is_err() || text == "vg/", "{text}: {parsed:?}");
        }
    }
}
