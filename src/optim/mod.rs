//! Optimizers over a flat vector. They know nothing of images.

pub mod adam;
pub mod lbfgs;

use crate::error::Result;

/// Value and gradient at a point: fills the gradient and returns the value.
pub type Closure<'a> = dyn FnMut(&[f32], &mut [f32]) -> Result<f32> + 'a;

/// What an optimizer knows beside the point it is at, to be carried to another problem.
pub trait State {
    /// Forgets everything: the next step is a first step.
    fn reset(&mut self);

    /// What is minimized is another function from now on: a value or gradient that is remembered is no longer its.
    fn forget_value(&mut self) {}

    /// The parts that belong to elements of `x` (Adam's moments), to be moved together with it: vectors alike to `x`, or as
    /// long as one of its planes where these share what there is. Scaling all of them alike at an element lets it forget that
    /// much.
    fn state(&mut self) -> Vec<&mut [f32]>;

    /// Of [`State::state`] the way that `x` was going, and the weight of what it was learnt from (Adam's first moment): scaled
    /// alike, an element forgets where it was going, and not how steep it was.
    fn momentum(&mut self) -> Vec<&mut [f32]> {
        Vec::new()
    }

    /// A factor on the step of each element of `x`, or of a place in all planes; 1 after a reset. None where steps are not made
    /// element by element.
    fn gains(&mut self) -> Option<&mut [f32]> {
        None
    }
}

/// Minimizes step by step. The state between steps belongs to the optimizer.
pub trait Optimizer: State {
    /// Moves `x` one step downhill; returns the value where the step began.
    ///
    /// # Errors
    /// Those of the closure; `x` is then as it was.
    fn step(&mut self, x: &mut [f32], closure: &mut Closure) -> Result<f32>;
}
