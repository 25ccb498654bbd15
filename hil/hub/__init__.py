"""The bench bus: a hub that carries CAN frames between processes, and may do to them what bad wiring does."""
