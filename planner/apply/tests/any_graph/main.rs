//! The executor against a cloud that misbehaves: any graph, any cut, any lost answer, any
//! refusal, any width.

mod fake;
mod graphs;
mod pictures;
mod properties;
