"""The Spark session and what it needs: Java, jars, and files that executors can see."""
