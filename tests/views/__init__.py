"""Views: stores on both databases, the follower on logs in memory, and on a real Kafka."""
