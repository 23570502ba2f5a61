"""The protocols of this door; reading this list tells what can run."""

from __future__ import annotations

from agent.runtime import WorkerSpec
from agent.workers import deconz, netatmo, vms, zello, zmes

WORKERS: tuple[WorkerSpec, ...] = (zmes.WORKER, zello.WORKER, deconz.WORKER, netatmo.WORKER, vms.WORKER)
