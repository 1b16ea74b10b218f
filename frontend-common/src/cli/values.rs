//! The values that options take.

use std::str::FromStr;

use clap::ValueEnum;

use lvshift_core::copier::Factor;

use crate::factor;

/// A yes or no, as LVM writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct YesNo(pub bool);

impl std::str::FromStr for YesNo {
    type Err = String;

    fn from_str(text: &str) -> Result<YesNo, String> {
        match text {
            // ay, ey, sy, ly: LVM's ways to activate in a cluster, which are one way here.
            "y" | "yes" | "1" | "ay" | "ey" | "sy" | "ly" => Ok(YesNo(true)),
            "n" | "no" | "0" | "en" | "sn" | "ln" => Ok(YesNo(false)),
            _ => Err("expected y or n".into()),
        }
    }
}

/// What `-a` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activate {
    /// To have devices, or to have none.
    pub on: bool,
    /// Only what is to be activated by itself: `-aay`, which LVM's boot says.
    pub by_itself: bool,
}

impl FromStr for Activate {
    type Err = String;

    fn from_str(text: &str) -> Result<Activate, String> {
        Ok(Activate { on: YesNo::from_str(text)?.0, by_itself: text == "ay" })
    }
}

/// How reports are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// A table for people.
    #[default]
    Basic,
    /// LVM's JSON.
    Json,
    /// The same with numbers as numbers and lists as lists.
    #[value(name = "json_std")]
    JsonStd,
}

/// How the planner may choose places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AllocPolicy {
    /// Every segment stays in one piece.
    Contiguous,
    /// As normal: there is nothing else to stay close to here.
    Cling,
    /// Any free extents on other PVs.
    Normal,
    /// Also free extents of the source PV itself.
    Anywhere,
    /// The VG's own policy, which is normal.
    Inherit,
}

/// A value, or the word `none`, which takes a limit away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrNone<T>(pub Option<T>);

impl<T: FromStr> FromStr for OrNone<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<OrNone<T>, T::Err> {
        if text == "none" {
            Ok(OrNone(None))
        } else {
            text.parse().map(|value| OrNone(Some(value)))
        }
    }
}

/// A [`Factor`], or the word `none`.
pub(super) fn factor_or_none(text: &str) -> Result<OrNone<Factor>, String> {
    if text == "none" {
        Ok(OrNone(None))
    } else {
        factor::parse(text).map(|factor| OrNone(Some(factor)))
    }
}
