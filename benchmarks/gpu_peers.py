"""PyTorch's ways to save CUDA tensors, for benchmarks/gpu.js: python gpu_peers.py DIRECTORY BYTES TENSORS -> JSON."""
import json, os, shutil, sys, time

try:
    import torch
except ImportError:
    print(json.dumps({"skipped": "PyTorch is not installed"}))
    sys.exit(0)
if not torch.cuda.is_available():
    print(json.dumps({"skipped": "PyTorch finds no CUDA device"}))
    sys.exit(0)

directory, size, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
state = {f"t{i}": torch.randn(size // count // 4, device="cuda") for i in range(count)}
torch.cuda.synchronize()


def durable(path):
    """All files below it, and their directory, on the disk: what our saves do."""
    for folder, _, names in os.walk(path):
        for name in names + ["."]:
            fd = os.open(os.path.join(folder, name), os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)


def timed(save):
    seconds = []
    for _ in range(3):
        path = os.path.join(directory, "peer")
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        start = time.perf_counter()
        save(path)
        durable(path)
        seconds.append(time.perf_counter() - start)
    shutil.rmtree(path, ignore_errors=True)
    return {"seconds": seconds}


results = {"torch": torch.__version__}
results["torch.save"] = timed(lambda path: torch.save(state, os.path.join(path, "state.pt")))
try:
    from safetensors.torch import save_file

    results["safetensors"] = timed(lambda path: save_file(state, os.path.join(path, "state.safetensors")))
except ImportError:
    results["safetensors"] = {"skipped": "safetensors is not installed"}
try:
    import torch.distributed as dist
    import torch.distributed.checkpoint as dcp

    os.environ.setdefault("MASTER_ADDR", "localhost")
    os.environ.setdefault("MASTER_PORT", "29531")
    dist.init_process_group("gloo", rank=0, world_size=1)
    staged = []

    def save_async(path):
        start = time.perf_counter()
        future = dcp.async_save(state, checkpoint_id=path)
        staged.append(time.perf_counter() - start)
        future.result()

    results["dcp.async_save"] = {**timed(save_async), "capturedSeconds": staged}
    dist.destroy_process_group()
except Exception as error:  # Whatever is missing in this build of PyTorch.
    results["dcp.async_save"] = {"skipped": str(error)}
print(json.dumps(results))
