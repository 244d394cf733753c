"""What runs in the engine: each processor turns inbound records into canonical ones."""
