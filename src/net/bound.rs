//! Graphs with their inputs and outputs in buffers that are allocated once, on the host or in the device's memory.

use ort::{
    memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType},
    operator::OperatorDomain,
    session::{IoBinding, NoSelectedOutputs, RunOptions, Session},
    value::{Tensor, TensorRef, TensorRefMut},
};

use super::{
    inspect::Profile,
    session::{Device, Runtime},
};
use crate::{error::Result, frame::Size};

/// A graph with its inputs and outputs in buffers that are allocated once.
pub struct BoundGraph {
    session: Session,
    binding: IoBinding,
    profile: Option<Profile>,
}

impl BoundGraph {
    pub fn new(runtime: &Runtime, model: &[u8]) -> Result<Self> {
        Self::with_session(runtime.session(model)?, None)
    }

    /// A graph with operators of ours, which run on the CPU.
    pub fn with_operators(runtime: &Runtime, model: &[u8], operators: OperatorDomain) -> Result<Self> {
        Self::with_session(runtime.builder(Device::Cpu)?.with_operators(operators)?.commit_from_memory(model)?, None)
    }

    /// The graph of a step at a picture size, on the runtime's device, or with operators of ours on the CPU; looked into as
    /// the runtime says.
    pub fn step(runtime: &Runtime, model: &[u8], size: Size, operators: Option<OperatorDomain>) -> Result<Self> {
        let builder = match operators {
            Some(operators) => runtime.builder(Device::Cpu)?.with_operators(operators)?,
            None => runtime.builder(runtime.device())?,
        };
        let profile = runtime.inspection().begin(size, model)?;
        Self::with_session(Profile::taken_by(builder, profile.as_ref())?.commit_from_memory(model)?, profile)
    }

    fn with_session(session: Session, profile: Option<Profile>) -> Result<Self> {
        let binding = session.create_binding()?;
        Ok(BoundGraph { session, binding, profile })
    }

    /// Binds the buffer that every run writes an output to.
    pub fn bind_output(&mut self, name: &str, tensor: &mut Tensor<f32>) -> Result<()> {
        Ok(self.binding.bind_output(name, tensor.view_mut())?)
    }

    /// Binds an input's present values: on the CPU the buffer itself, elsewhere a copy on the device, so that it has to be
    /// bound again before each run in which it differs.
    pub fn bind_input(&mut self, name: &str, tensor: &Tensor<f32>) -> Result<()> {
        Ok(self.binding.bind_input(name, tensor)?)
    }

    /// An input that lies in the device's memory: what is there when the graph runs is read.
    pub fn read(&mut self, name: &str, tensor: &DeviceTensor) -> Result<()> {
        Ok(self.binding.bind_input(name, &tensor.0)?)
    }

    /// An output that is written to the device's memory.
    pub fn write(&mut self, name: &str, tensor: &mut DeviceTensor) -> Result<()> {
        Ok(self.binding.bind_output(name, tensor.0.view_mut())?)
    }

    pub fn run(&mut self) -> Result<()> {
        self.session.run_binding(&self.binding)?;
        Ok(())
    }
}

impl Drop for BoundGraph {
    fn drop(&mut self) {
        if let Some(profile) = &self.profile {
            profile.finish(&mut self.session);
        }
    }
}

/// A buffer of zeros that graphs can be bound to.
pub fn tensor<const RANK: usize>(shape: [usize; RANK]) -> Result<Tensor<f32>> {
    let mut tensor = Tensor::<f32>::new(&Allocator::default(), shape)?;
    tensor.extract_tensor_mut().1.fill(0.0);
    Ok(tensor)
}

/// A tensor in the device's memory; on the CPU, and with providers that compute in the host's memory, it is that.
pub struct DeviceTensor(Tensor<f32>);

impl DeviceTensor {
    /// Overwrites it with values of the host, as many as it has. Does not wait for graphs that run without waiting.
    ///
    /// # Errors
    /// [`Error::Runtime`](crate::Error::Runtime) if ONNX Runtime fails.
    ///
    /// # Panics
    /// If there are more or fewer.
    pub fn upload(&mut self, values: &[f32]) -> Result<()> {
        assert_eq!(values.len(), self.0.shape().num_elements(), "values of {}", self.0.shape());
        match self.in_host_memory() {
            true => self.0.extract_tensor_mut().1.copy_from_slice(values),
            false => TensorRef::from_array_view((self.0.shape().clone(), values))?.copy_into(self.0.view_mut())?,
        }
        Ok(())
    }

    /// Overwrites values of the host with it.
    ///
    /// # Errors
    /// As [`DeviceTensor::upload`].
    ///
    /// # Panics
    /// Likewise.
    pub fn download(&self, values: &mut [f32]) -> Result<()> {
        assert_eq!(values.len(), self.0.shape().num_elements(), "values of {}", self.0.shape());
        match self.in_host_memory() {
            true => values.copy_from_slice(self.0.extract_tensor().1),
            false => self.0.copy_into(TensorRefMut::from_array_view_mut((self.0.shape().clone(), values))?)?,
        }
        Ok(())
    }

    fn in_host_memory(&self) -> bool {
        self.0.memory_info().is_cpu_accessible()
    }
}

/// A graph that is run from one set of buffers to another and then back again, without a copy between: two bindings.
///
/// All its buffers keep their addresses, so that CUDA can record the launches of each way and replay them.
pub struct PingPong {
    session: Session,
    bindings: [IoBinding; 2],
    options: [RunOptions<NoSelectedOutputs>; 2],
    device: Device,
    profile: Option<Profile>,
}

impl Drop for PingPong {
    fn drop(&mut self) {
        if let Some(profile) = &self.profile {
            profile.finish(&mut self.session);
        }
    }
}

impl PingPong {
    /// # Errors
    /// [`Error::Runtime`](crate::Error::Runtime) if ONNX Runtime does not take the graph.
    pub(super) fn new(session: Session, device: Device, profile: Option<Profile>) -> Result<Self> {
        let bindings = [session.create_binding()?, session.create_binding()?];
        let mut options = [RunOptions::new()?, RunOptions::new()?];
        for (way, options) in options.iter_mut().enumerate() {
            // A run comes back as soon as its kernels are queued; `finish` waits for them.
            options.disable_device_sync()?;
            if device.is_nvidia() {
                options.set("gpu_graph_id", (way + 1).to_string())?;
            }
        }
        Ok(PingPong { session, bindings, options, device, profile })
    }

    /// A tensor of undefined values where this graph's device has its memory.
    pub fn device_tensor<const RANK: usize>(&self, shape: [usize; RANK]) -> Result<DeviceTensor> {
        if !self.device.is_nvidia() {
            return Ok(DeviceTensor(tensor(shape)?));
        }
        let memory = MemoryInfo::new(AllocationDevice::CUDA, 0, AllocatorType::Device, MemoryType::Default)?;
        Ok(DeviceTensor(Tensor::new(&Allocator::new(&self.session, memory)?, shape)?))
    }

    /// Binds an input of one way, 0 or 1.
    pub fn read(&mut self, way: usize, name: &str, tensor: &DeviceTensor) -> Result<()> {
        Ok(self.bindings[way].bind_input(name, &tensor.0)?)
    }

    /// Binds an output of one way, 0 or 1.
    pub fn write(&mut self, way: usize, name: &str, tensor: &mut DeviceTensor) -> Result<()> {
        Ok(self.bindings[way].bind_output(name, tensor.0.view_mut())?)
    }

    /// Runs one way, 0 or 1. Its outputs may be read by the next run of this graph; by anything else after
    /// [`PingPong::finish`].
    pub fn run(&mut self, way: usize) -> Result<()> {
        self.session.run_binding_with_options(&self.bindings[way], &self.options[way])?;
        Ok(())
    }

    /// Waits until all that was run is done.
    pub fn finish(&self) -> Result<()> {
        Ok(self.bindings[0].synchronize_outputs()?)
    }
}
