"""Agents in the pods of a Kubernetes cluster: a Job for each attempt."""

from core.sandboxes.kubernetes.sandbox import KubernetesSandbox

__all__ = ["KubernetesSandbox"]
