//! Container runtimes: CRI, containerd, images, cgroup figures.
