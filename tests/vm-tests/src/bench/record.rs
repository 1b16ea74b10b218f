//! What the program `bench` writes: one JSON object a line, read by `cargo xtask bench`.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// One number of one round.
    Sample(Sample),
    /// A quantity over time, for a plot.
    Series(Series),
    /// Something that could not be measured here, and why.
    Skipped(String),
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The benchmark.
    pub bench: String,
    /// Who was measured.
    pub contestant: String,
    /// What, e.g. `time` or `4k depth 4, IOPS`.
    pub metric: String,
    /// In which unit.
    pub unit: String,
    /// In which round, from 1.
    pub round: u32,
    /// The number.
    pub value: f64,
}

/// A quantity over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The benchmark.
    pub bench: String,
    /// Who was measured.
    pub contestant: String,
    /// What, e.g. `progress`.
    pub metric: String,
    /// In which unit.
    pub unit: String,
    /// In which round, from 1.
    pub round: u32,
    /// Moments worth a line in the plot, in seconds.
    pub marks: Vec<f64>,
    /// Seconds and value.
    pub points: Vec<(f64, f64)>,
}

impl Record {
    /// The line, without its newline.
    #[must_use]
    pub fn to_line(&self) -> String {
        self.to_json().to_string()
    }

    /// The record as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Sample(s) => json!({
                "record": "sample", "bench": s.bench, "contestant": s.contestant,
                "metric": s.metric, "unit": s.unit, "round": s.round, "value": s.value,
            }),
            Self::Series(s) => json!({
                "record": "series", "bench": s.bench, "contestant": s.contestant,
                "metric": s.metric, "unit": s.unit, "round": s.round, "marks": s.marks,
                "points": s.points,
            }),
            Self::Skipped(why) => json!({ "record": "skipped", "why": why }),
        }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_line(line: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(line).with_context(|| format!("{line:?}"))?;
        Self::from_json(&value).with_context(|| format!("the record {line:?}"))
    }

    /// Reads a record.
    ///
    /// # Errors
    /// The field that is missing or of the wrong type.
    pub fn from_json(value: &Value) -> Result<Self> {
        let text = |key: &str| {
            let text = value.get(key).and_then(Value::as_str);
            text.map(str::to_owned).with_context(|| format!("no text {key:?}"))
        };
        let round = || {
            let round = value.get("round").and_then(Value::as_u64).context("no round")?;
            u32::try_from(round).context("too many rounds")
        };
        match text("record")?.as_str() {
            "sample" => Ok(Self::Sample(Sample {
                bench: text("bench")?,
                contestant: text("contestant")?,
                metric: text("metric")?,
                unit: text("unit")?,
                round: round()?,
                value: value.get("value").and_then(Value::as_f64).context("no value")?,
            })),
            "series" => Ok(Self::Series(Series {
                bench: text("bench")?,
                contestant: text("contestant")?,
                metric: text("metric")?,
                unit: text("unit")?,
                round: round()?,
                marks: numbers(value.get("marks"))?,
                points: points(value.get("points"))?,
            })),
            "skipped" => Ok(Self::Skipped(text("why")?)),
            kind => bail!("a record of unknown kind {kind:?}"),
        }
    }
}

fn numbers(value: Option<&Value>) -> Result<Vec<f64>> {
    let list = value.and_then(Value::as_array).context("a list is missing")?;
    list.iter().map(|v| v.as_f64().context("not a number")).collect()
}

fn points(value: Option<&Value>) -> Result<Vec<(f64, f64)>> {
    let list = value.and_then(Value::as_array).context("no points")?;
    list.iter()
        .map(|pair| match numbers(Some(pair))?.as_slice() {
            &[x, y] => Ok((x, y)),
            _ => bail!("a point has two numbers"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_comes_back() {
        let sample = Sample {
            bench: "b".into(),
            contestant: "c".into(),
            metric: "m".into(),
            unit: "s".into(),
            round: 2,
            value: 1.25,
        };
        let series = Series {
            bench: "b".into(),
            contestant: "c".into(),
            metric: "m".into(),
            unit: "MiB".into(),
            round: 1,
            marks: vec![0.5],
            points: vec![(0.0, 1.0), (0.5, 2.0)],
        };
        for record in
            [Record::Sample(sample), Record::Series(series), Record::Skipped("why".into())]
        {
            assert_eq!(Record::from_line(&record.to_line()).expect("just written"), record);
        }
        assert!(Record::from_line(r#"{"record":"sample","bench":"b"}"#).is_err());
    }
}
