//! Joining linear segments that go on where the one before ends.

use super::{Area, Segment, Target};
use crate::units::DeviceNumber;

/// See [`merge`].
#[derive(Clone, Debug)]
pub struct Merge<I, D = DeviceNumber, E = core::convert::Infallible> {
    segments: I,
    ahead: Option<Result<Segment<D>, E>>,
}

/// The segments with adjacent linear ones on one device joined. Two tables that map every sector
/// alike come out equal, unless they cut their mirrors differently: that is a difference, since
/// every mirror has a log of its own. An error comes through in its place.
pub fn merge<I, D, E>(segments: I) -> Merge<I, D, E>
where
    I: Iterator<Item = Result<Segment<D>, E>>,
{
    Merge { segments, ahead: None }
}

impl<I, D, E> Iterator for Merge<I, D, E>
where
    I: Iterator<Item = Result<Segment<D>, E>>,
    D: Copy + PartialEq,
{
    type Item = Result<Segment<D>, E>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut joined = match self.ahead.take().or_else(|| self.segments.next())? {
            Ok(segment) => segment,
            Err(error) => return Some(Err(error)),
        };
        loop {
            let next = self.segments.next();
            let longer = match &next {
                Some(Ok(next)) => join(joined, *next),
                Some(Err(_)) | None => None,
            };
            match longer {
                Some(segment) => joined = segment,
                None => {
                    self.ahead = next;
                    return Some(Ok(joined));
                }
            }
        }
    }
}

fn join<D: Copy + PartialEq>(first: Segment<D>, second: Segment<D>) -> Option<Segment<D>> {
    let goes_on = match (first.target, second.target) {
        (Target::Linear(area), Target::Linear(next)) => {
            let Area { device, offset } = area.after(first.len)?;
            device == next.device && offset == next.offset
        }
        (Target::Error, Target::Error) => true,
        _ => false,
    };
    if !goes_on || first.end()? != second.start {
        return None;
    }
    Some(Segment { len: first.len.checked_add(second.len)?, ..first })
}
