# The interpreter is PYERLNODE_PYTHON, else python3; it has to find the package pyerlnode.
name = :"companion_#{System.pid()}@127.0.0.1"
{:ok, _} = :net_kernel.start([name, :longnames])
ExUnit.start(capture_log: true)
