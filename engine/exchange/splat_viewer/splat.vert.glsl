#version 300 es
// A splat to a rectangle around what it covers of the image: EWA projection (Kerbl et al. 2023, eq. 5), and for discs
// what rays need to meet them (Huang et al. 2024).
precision highp float;
precision highp int;
precision highp usampler2D;

const float LOW_PASS = {{LOW_PASS}}, ALPHA_MIN = {{ALPHA_MIN}}, NEAR = {{NEAR}}, JACOBIAN_LIMIT = {{JACOBIAN_LIMIT}};

layout(location = 0) in uint index;
uniform usampler2D records;
uniform int texels, degree;  // texels of a splat; of the harmonics
uniform float range;         // of the harmonics of degree 1 and more
uniform vec4 view[3], lens;  // camera from world; fx, fy, cx, cy in pixels
uniform vec3 position;
uniform vec2 size;
uniform bool surface;          // discs
uniform bool antialiased;      // opacity makes up for the low pass (Yu et al. 2024); not of discs
flat out vec4 color;  // and opacity
flat out float shape;
flat out vec4 across; // of discs: how their axes' x, then y, move across the image plane at depth 1
flat out vec3 lean;   // of discs: their axes' depths, and that of the mean
out vec2 place;       // of the pixel: in standard deviations of the projected splat; of discs in pixels from the centre

uvec4 texel(int part) {
  int i = int(index) * texels + part;
  return texelFetch(records, ivec2(i & 4095, i >> 12), 0);
}

// The quaternion (w, x, y, z): two bits name the largest part, ten bits each hold the others.
vec4 quaternion(uint word) {
  vec3 small = (vec3((uvec3(word) >> uvec3(0u, 10u, 20u)) & 1023u) / 1023.0 * 2.0 - 1.0) * 0.70710678;
  float large = sqrt(max(1.0 - dot(small, small), 0.0));
  uint which = word >> 30;
  if (which == 0u) return vec4(large, small);
  if (which == 1u) return vec4(small.x, large, small.yz);
  if (which == 2u) return vec4(small.xy, large, small.z);
  return vec4(small, large);
}

mat3 rotation(vec4 q) {
  float w = q.x, x = q.y, y = q.z, z = q.w;
  return mat3(1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y),
              2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x),
              2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y));
}

uvec4 block;
int loaded;

float byteAt(int i) {
  int part = 2 + (i >> 4);
  if (part != loaded) {
    block = texel(part);
    loaded = part;
  }
  int k = i & 15;
  uint word = block[k >> 2];
  return (float((word >> uint(8 * (k & 3))) & 255u) - 128.0) / 127.0 * range;
}

vec3 term(int k) {
  return vec3(byteAt(3 * k - 3), byteAt(3 * k - 2), byteAt(3 * k - 1));
}

// 0.5 + the real spherical harmonics (Sloan 2008) in direction d, with the signs of 3DGS files.
vec3 harmonics(vec3 constant, vec3 d) {
  float x = d.x, y = d.y, z = d.z;
  loaded = -1;
  vec3 sum = 0.5 + 0.28209479 * constant;
  if (degree > 0) sum += 0.48860251 * (-y * term(1) + z * term(2) - x * term(3));
  if (degree > 1) {
    sum += 1.09254843 * (x * y * term(4) - y * z * term(5)) + 0.31539157 * (3.0 * z * z - 1.0) * term(6);
    sum += -1.09254843 * x * z * term(7) + 0.54627422 * (x * x - y * y) * term(8);
  }
  if (degree > 2) {
    float ring = 5.0 * z * z - 1.0;
    sum += -0.59004359 * y * (3.0 * x * x - y * y) * term(9) + 2.89061144 * x * y * z * term(10);
    sum += -0.45704580 * ring * y * term(11) + 0.37317633 * z * (5.0 * z * z - 3.0) * term(12);
    sum += -0.45704580 * ring * x * term(13) + 1.44530572 * z * (x * x - y * y) * term(14);
    sum += -0.59004359 * x * (x * x - 3.0 * y * y) * term(15);
  }
  return max(sum, 0.0);
}

// Least and most offset in pixels of a disc's rim u^2 + v^2 = reach along one side of the image; `whole` where the rim
// reaches behind the camera.
vec2 rim(vec2 across, float focal, float reach, vec2 whole) {
  across *= focal;
  float square = lean.z * lean.z - reach * dot(lean.xy, lean.xy), middle = reach * dot(across, lean.xy);
  if (!(square > 0.0)) return whole;
  float root = sqrt(middle * middle + square * reach * dot(across, across)), filtered = sqrt(0.5 * reach);
  return vec2(min((-middle - root) / square, -filtered), max((-middle + root) / square, filtered));
}

void main() {
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0);  // nowhere
  uvec4 first = texel(0), second = texel(1);
  vec3 mean = uintBitsToFloat(first.xyz);
  vec3 point = vec3(dot(view[0], vec4(mean, 1.0)), dot(view[1], vec4(mean, 1.0)), dot(view[2], vec4(mean, 1.0)));
  if (!(point.z > NEAR)) return;
  vec2 a = unpackHalf2x16(second.x), b = unpackHalf2x16(second.y), c = unpackHalf2x16(second.z), e = unpackHalf2x16(second.w);
  float opacity = 1.0 / (1.0 + exp(-b.y));
  if (opacity <= ALPHA_MIN) return;
  vec3 scales = exp(vec3(a, b.x));
  mat3 turn = transpose(mat3(view[0].xyz, view[1].xyz, view[2].xyz)) * rotation(quaternion(first.w));
  mat3 axes = mat3(turn[0] * scales.x, turn[1] * scales.y, turn[2] * scales.z);
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1), pixel = lens.xy * point.xy / point.z + lens.zw;
  float reach = 2.0 * log(opacity / ALPHA_MIN);  // the squared distance at which alpha falls to its least
  color = vec4(harmonics(vec3(c, e.x), normalize(mean - position)), opacity);
  shape = e.y;
  across = vec4(0.0);
  lean = vec3(axes[0].z, axes[1].z, point.z);
  if (surface) {
    vec2 slope = point.xy / point.z;
    across.xy = vec2(axes[0].x, axes[1].x) - slope.x * lean.xy;
    across.zw = vec2(axes[0].y, axes[1].y) - slope.y * lean.xy;
    vec2 x = rim(across.xy, lens.x, reach, vec2(-pixel.x, size.x - pixel.x));
    vec2 y = rim(across.zw, lens.y, reach, vec2(-pixel.y, size.y - pixel.y));
    place = mix(vec2(x[0], y[0]), vec2(x[1], y[1]), corner);
    pixel += place;
    gl_Position = vec4(pixel.x / size.x * 2.0 - 1.0, 1.0 - pixel.y / size.y * 2.0, 0.0, 1.0);
    return;
  }
  vec2 limit = JACOBIAN_LIMIT * 0.5 * size / lens.xy;
  vec2 along = clamp(point.xy / point.z, -limit, limit);
  vec3 u = lens.x / point.z * vec3(axes[0].x - along.x * axes[0].z, axes[1].x - along.x * axes[1].z, axes[2].x - along.x * axes[2].z);
  vec3 v = lens.y / point.z * vec3(axes[0].y - along.y * axes[0].z, axes[1].y - along.y * axes[1].z, axes[2].y - along.y * axes[2].z);
  float xx = dot(u, u) + LOW_PASS, xy = dot(u, v), yy = dot(v, v) + LOW_PASS;
  if (antialiased) {
    vec3 minors = cross(u, v);  // whose square is the covariance's determinant without the low pass
    float before = dot(minors, minors);
    color.a *= sqrt(before / (before + LOW_PASS * (dot(u, u) + dot(v, v) + LOW_PASS)));
    if (color.a <= ALPHA_MIN) return;
    reach = 2.0 * log(color.a / ALPHA_MIN);
  }
  // the ellipse's half axes: eigenvectors of the covariance
  float middle = 0.5 * (xx + yy), apart = length(vec2(0.5 * (xx - yy), xy));
  float large = middle + apart, small = max(middle - apart, LOW_PASS);
  vec2 axis = abs(xy) > 1e-6 * large ? normalize(vec2(xy, large - xx)) : (xx >= yy ? vec2(1, 0) : vec2(0, 1));
  place = (corner * 2.0 - 1.0) * pow(reach, 1.0 / shape);
  pixel += place.x * sqrt(large) * axis + place.y * sqrt(small) * vec2(-axis.y, axis.x);
  gl_Position = vec4(pixel.x / size.x * 2.0 - 1.0, 1.0 - pixel.y / size.y * 2.0, 0.0, 1.0);
}
