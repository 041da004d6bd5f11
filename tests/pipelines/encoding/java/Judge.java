import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.avro.Conversions;
import org.apache.avro.Schema;
import org.apache.avro.data.TimeConversions;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericFixed;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;

/**
 * Reads message values (hex, one a line) with the Java Avro library. For each it prints one line:
 * the body as Java writes it again (hex), then the record as JSON with its logical types.
 */
public final class Judge {
    public static void main(String[] args) throws Exception {
        Schema schema = new Schema.Parser().parse(Files.readString(Path.of(args[0])));
        GenericData data = new GenericData();
        data.addLogicalTypeConversion(new Conversions.DecimalConversion());
        data.addLogicalTypeConversion(new Conversions.UUIDConversion());
        data.addLogicalTypeConversion(new TimeConversions.DateConversion());
        data.addLogicalTypeConversion(new TimeConversions.TimeMillisConversion());
        data.addLogicalTypeConversion(new TimeConversions.TimeMicrosConversion());
        data.addLogicalTypeConversion(new TimeConversions.TimestampMillisConversion());
        data.addLogicalTypeConversion(new TimeConversions.TimestampMicrosConversion());
        data.addLogicalTypeConversion(new TimeConversions.TimestampNanosConversion());
        data.addLogicalTypeConversion(new TimeConversions.LocalTimestampMillisConversion());
        data.addLogicalTypeConversion(new TimeConversions.LocalTimestampMicrosConversion());
        data.addLogicalTypeConversion(new TimeConversions.LocalTimestampNanosConversion());
        for (String line : Files.readAllLines(Path.of(args[1]))) {
            byte[] value = HexFormat.of().parseHex(line);
            if (value[0] != 0 || ByteBuffer.wrap(value, 1, 4).getInt() != Integer.parseInt(args[2])) {
                throw new IllegalStateException("not framed with schema id " + args[2] + ": " + line);
            }
            byte[] body = Arrays.copyOfRange(value, 5, value.length);
            BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(body, null);
            GenericRecord row = new GenericDatumReader<GenericRecord>(schema, schema, data).read(null, decoder);
            if (!decoder.isEnd()) {
                throw new IllegalStateException("bytes left over: " + line);
            }
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(out, null);
            new GenericDatumWriter<GenericRecord>(schema, data).write(row, encoder);
            encoder.flush();
            System.out.println(HexFormat.of().formatHex(out.toByteArray()) + "\t" + json(row));
        }
    }

    private static String json(Object value) {
        if (value == null || value instanceof Boolean || value instanceof Number && !(value instanceof java.math.BigDecimal)) {
            return String.valueOf(value);
        }
        if (value instanceof GenericRecord row) {
            return row.getSchema().getFields().stream()
                .map(f -> quoted(f.name()) + ":" + json(row.get(f.pos()))).collect(Collectors.joining(",", "{", "}"));
        }
        if (value instanceof List<?> items) {
            return items.stream().map(Judge::json).collect(Collectors.joining(",", "[", "]"));
        }
        if (value instanceof Map<?, ?> entries) {
            TreeMap<String, Object> sorted = new TreeMap<>();
            entries.forEach((k, v) -> sorted.put(k.toString(), v));
            return sorted.entrySet().stream()
                .map(e -> quoted(e.getKey()) + ":" + json(e.getValue())).collect(Collectors.joining(",", "{", "}"));
        }
        if (value instanceof ByteBuffer bytes) {
            byte[] copy = new byte[bytes.remaining()];
            bytes.duplicate().get(copy);
            return quoted(HexFormat.of().formatHex(copy));
        }
        if (value instanceof GenericFixed fixed) {
            return quoted(HexFormat.of().formatHex(fixed.bytes()));
        }
        if (value instanceof java.math.BigDecimal number) {
            return quoted(number.toPlainString());
        }
        return quoted(value.toString());
    }

    private static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            out.append(c < 32 || c > 126 || c == '"' || c == '\\' ? String.format("\\u%04x", (int) c) : c);
        }
        return out.append('"').toString();
    }
}
