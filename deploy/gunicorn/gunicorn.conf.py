bind = "0.0.0.0:8080"
workers = 2
# The root file system is read-only.
worker_tmp_dir = "/tmp"
raw_env = ["GREETING=one"]
